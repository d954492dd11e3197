/* Reads a merged stream from standard input to its end and checks every line of it: content, order and prefix.
   usage: sink [-f | -t] KIND LENGTH LINES OWN PREFIX...

   The component of the n-th PREFIX has the n-th letter as id and writes LINES payload lines. In PREFIX and OWN (the
   runner's own lines) `?` stands for any byte; colors around a prefix are passed over. -f: standard input is a file
   that grows; SIGTERM ends it. -t: it is a terminal; an unfinished line that was erased from a row is not on it. Prints
   `complete TIME` when the last payload line has come (CLOCK_MONOTONIC, s), and counts at the end. */
#define _GNU_SOURCE
#include "payload.h"
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SIZE (1 << 20)
#define SOURCES 26
#define ERASE "\r\x1b[K"       /* an unfinished line */
#define ERASE_BELOW "\r\x1b[J" /* one with a row of states below it, or that row alone */

struct source {
    const char *prefix;
    size_t prefix_length;
    struct line next;
    char expected[LONGEST];
    size_t expected_length;
};

static struct source sources[SOURCES];
static int source_count, last_source, is_terminal;
static const char *own;
static unsigned long wanted, good, bytes, own_lines, unprefixed, mangled, missing, disordered;
static char buffer[SIZE], example[200];
static volatile sig_atomic_t told_to_end;

static void on_term(int number) {
    (void)number;
    told_to_end = 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static const char *skip_colors(const char *at, const char *end) {
    while (end - at > 2 && at[0] == '\x1b' && at[1] == '[') {
        const char *close = memchr(at, 'm', end - at);
        if (!close)
            break;
        at = close + 1;
    }
    return at;
}

static const char *skip_erased(const char *at, const char *end) {
    const char *erase;
    while ((erase = memmem(at, end - at, ERASE, sizeof ERASE - 1)) ||
           (erase = memmem(at, end - at, ERASE_BELOW, sizeof ERASE_BELOW - 1)))
        at = erase + sizeof ERASE - 1; /* both are of one length */
    return at;
}

static int matches(const char *pattern, size_t length, const char *at, const char *end) {
    if ((size_t)(end - at) < length)
        return 0;
    for (size_t i = 0; i < length; i++)
        if (pattern[i] != '?' && pattern[i] != at[i])
            return 0;
    return 1;
}

static void expect(struct source *source) {
    source->expected_length = put(&source->next, source->expected) - 1;
}

static int is_expected(const struct source *source, const char *at, size_t length) {
    return length == source->expected_length && memcmp(at, source->expected, length) == 0;
}

static void keep_example(const char *at, const char *end) {
    size_t used = 0;
    if (example[0])
        return;
    for (; at < end && used < sizeof example - 5; at++)
        used += sprintf(example + used, isprint((unsigned char)*at) && *at != '"' && *at != '\\' ? "%c" : "<%02x>", *at & 0xff);
}

/* A line that is not the next one of its component: another of them, or none at all. */
static void judge(struct source *source, const char *at, const char *end) {
    unsigned long before = source->next.number, number = 0;
    for (const char *digit = at + 1; digit < end && digit <= at + DIGITS; digit++)
        number = number * 10 + (*digit - '0');
    go_to(&source->next, number);
    expect(source);
    if (number < wanted && is_expected(source, at, end - at)) {
        if (number >= before) {
            missing += number - before;
            good++;
            go_to_next(&source->next);
            expect(source);
            return;
        }
        disordered++;
    } else {
        mangled++;
    }
    keep_example(at, end);
    go_to(&source->next, before);
    expect(source);
}

/* Check one line, without its end; 1 if it was a payload line as it should be. */
static int check(const char *at, const char *end) {
    const char *line = at;
    if (is_terminal) {
        at = skip_erased(at, end);
        if (end > at && end[-1] == '\r')
            end--;
    }
    at = skip_colors(at, end);
    for (int i = 0; i < source_count; i++) {
        int which = (last_source + i) % source_count;
        struct source *source = &sources[which];
        if (!matches(source->prefix, source->prefix_length, at, end))
            continue;
        unsigned long before = good;
        last_source = which;
        at = skip_colors(at + source->prefix_length, end);
        if (is_expected(source, at, end - at)) {
            good++;
            go_to_next(&source->next);
            expect(source);
        } else {
            judge(source, at, end);
        }
        return good > before;
    }
    if (own[0] && matches(own, strlen(own), at, end)) {
        own_lines++;
        return 0;
    }
    unprefixed++;
    keep_example(line, end);
    return 0;
}

int main(int argc, char **argv) {
    int follow = argc > 1 && strcmp(argv[1], "-f") == 0;
    double last = 0;
    size_t held = 0;
    is_terminal = argc > 1 && strcmp(argv[1], "-t") == 0;
    argv += follow + is_terminal;
    argc -= follow + is_terminal;
    if (argc < 6)
        return 2;
    wanted = strtoul(argv[3], NULL, 10);
    own = argv[4];
    for (int i = 5; i < argc && source_count < SOURCES; i++) {
        struct source *source = &sources[source_count];
        source->prefix = argv[i];
        source->prefix_length = strlen(argv[i]);
        source->next = first_line(kind_named(argv[1]), atol(argv[2]), 'a' + source_count++);
        expect(source);
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
    for (;;) {
        int ending = told_to_end;
        ssize_t got = read(0, buffer + held, SIZE - held);
        if (got <= 0) {
            if (!follow || ending)
                break;
            usleep(1000);
            continue;
        }
        double arrived = now();
        char *line = buffer, *stop = buffer + held + got, *newline;
        bytes += got;
        while ((newline = memchr(line, '\n', stop - line))) {
            if (check(line, newline)) {
                last = arrived;
                if (good == wanted * source_count) {
                    printf("complete %.9f\n", arrived);
                    fflush(stdout);
                }
            }
            line = newline + 1;
        }
        held = stop - line;
        if (held == SIZE)
            held = 0; /* no line of ours is that long: it will count as mangled */
        memmove(buffer, line, held);
    }
    if (held && !is_terminal) /* there the runner may be killed while it still writes */
        check(buffer, buffer + held);
    for (int i = 0; i < source_count; i++)
        if (sources[i].next.number < wanted)
            missing += wanted - sources[i].next.number;
    printf("{\"good\": %lu, \"missing\": %lu, \"mangled\": %lu, \"disordered\": %lu, \"unprefixed\": %lu, \"own\": %lu, "
           "\"bytes\": %lu, \"last\": %.9f, \"example\": \"%s\"}\n",
           good, missing, mangled, disordered, unprefixed, own_lines, bytes, last, example);
    return 0;
}
