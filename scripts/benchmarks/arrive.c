/* The screen's side of stamp.c and flood.c: reads standard input, and prints for each stamped line the ns between its
   write and the return of the read that brought it. Once LINES have come it prints `complete LOST`: how many lines of
   the flood with the id `a` were missing until then.
   usage: arrive [-t] LINES      (-t: of a terminal; makes no difference) */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZE (1 << 20)
#define DIGITS 10

static long wanted, seen, lost, following;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* A line of the flood: `a`, the digits of its number, a blank. What fills a line has no digit after an `a`. */
static void count(const char *line, const char *stop) {
    const char *at = line;
    while ((at = memchr(at, 'a', stop - at)) && stop - ++at > DIGITS) {
        long number = 0, digits = 0;
        for (; digits < DIGITS && at[digits] >= '0' && at[digits] <= '9'; digits++)
            number = number * 10 + (at[digits] - '0');
        if (digits < DIGITS || at[DIGITS] != ' ')
            continue;
        if (number > following)
            lost += number - following;
        following = number + 1;
        return;
    }
}

int main(int argc, char **argv) {
    static char buffer[SIZE];
    size_t held = 0;
    ssize_t got;
    wanted = argc > 1 ? atol(argv[argc - 1]) : 0;
    while ((got = read(0, buffer + held, SIZE - held)) > 0) {
        long long arrived = now();
        char *line = buffer, *stop = buffer + held + got, *end, *open;
        for (; (end = memchr(line, '\n', stop - line)); line = end + 1) {
            if (!(open = memchr(line, '~', end - line))) {
                count(line, end);
                continue;
            }
            printf("%lld\n", arrived - strtoll(open + 1, NULL, 10));
            if (++seen == wanted) {
                printf("complete %ld\n", lost);
                fflush(stdout);
            }
        }
        held = stop - line;
        if (held == SIZE)
            held = 0; /* no line is that long */
        memmove(buffer, line, held);
    }
    return 0;
}
