/* One payload line: what flood.c writes and sink.c expects. Ten digits count the lines of a component, so that loss and
   disorder show; the filling changes from line to line, so that bytes of another line show. */
#include <string.h>

enum kind { PLAIN, COLORED, STRIPPED };

#define DIGITS 10
#define LONGEST 8192 /* bytes of a line, its end included */
#define COLOR "\x1b[32m"
#define RESET "\x1b[m"

struct line {
    enum kind kind;
    size_t length; /* bytes as written, escapes and LF included */
    unsigned long number;
    char head[2 + DIGITS]; /* id, digits, blank */
};

static char filling[LONGEST + 64];

static enum kind kind_named(const char *name) {
    return strcmp(name, "colored") == 0 ? COLORED : strcmp(name, "stripped") == 0 ? STRIPPED : PLAIN;
}

static struct line first_line(enum kind kind, size_t length, char id) {
    struct line line = {.kind = kind, .length = length};
    for (size_t i = 0; i < sizeof filling; i++)
        filling[i] = '!' + i % 93; /* never `~`: that marks the lines of stamp.c */
    memset(line.head, '0', sizeof line.head);
    line.head[0] = id;
    line.head[1 + DIGITS] = ' ';
    return line;
}

static inline void go_to(struct line *line, unsigned long number) {
    line->number = number;
    for (int i = DIGITS; i > 0; i--, number /= 10)
        line->head[i] = '0' + number % 10;
}

static inline void go_to_next(struct line *line) {
    line->number++;
    for (int i = DIGITS; i > 0 && ++line->head[i] > '9'; i--)
        line->head[i] = '0';
}

static char *append(char *end, const char *bytes, size_t length) {
    memcpy(end, bytes, length);
    return end + length;
}

/* Write the line to `out`, LF included; return its length. */
static size_t put(const struct line *line, char *out) {
    size_t escapes = line->kind == PLAIN ? 0 : sizeof COLOR - 1 + sizeof RESET - 1;
    size_t length = line->kind == STRIPPED ? line->length - escapes : line->length;
    char *end = append(out, line->head, sizeof line->head);
    if (line->kind == COLORED)
        end = append(end, COLOR, sizeof COLOR - 1);
    if (line->kind != PLAIN)
        end = append(end, "INFO", 4);
    if (line->kind == COLORED)
        end = append(end, RESET, sizeof RESET - 1);
    end = append(end, filling + line->number % 64, out + length - 1 - end);
    *end++ = '\n';
    return end - out;
}
