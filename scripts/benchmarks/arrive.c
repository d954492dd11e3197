/* The screen's side of stamp.c: reads standard input to its end, and prints for each stamped line the ns between its
   write and the return of the read that brought it; then, once LINES have come, `complete`.
   usage: arrive LINES */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZE (1 << 20)

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    static char buffer[SIZE + 1];
    long wanted = argc > 1 ? atol(argv[1]) : 0, seen = 0;
    size_t held = 0;
    ssize_t got;
    while ((got = read(0, buffer + held, SIZE - held)) > 0) {
        long long arrived = now();
        char *rest = buffer, *stop = buffer + held + got, *open, *close;
        *stop = '\0';
        while ((open = memchr(rest, '~', stop - rest)) && (close = memchr(open + 1, '~', stop - open - 1))) {
            printf("%lld\n", arrived - strtoll(open + 1, NULL, 10));
            rest = close + 1;
            if (++seen == wanted) {
                puts("complete");
                fflush(stdout);
            }
        }
        held = open ? stop - open : 0; /* half a stamp waits for its other half */
        memmove(buffer, open ? open : buffer, held);
    }
    return 0;
}
