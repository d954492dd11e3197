/* Writes the time (CLOCK_MONOTONIC, ns) in single lines, at uneven intervals so that no other clock falls into step.
   usage: stamp GATE ROLL LINES MEAN_INTERVAL_US */
#include "gate.h"
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    long lines = atol(argv[3]), mean = atol(argv[4]);
    wait_at(argv[1], argv[2]);
    for (long i = 0; i < lines; i++) {
        struct timespec now;
        char text[64];
        usleep(mean / 2 + random() % mean);
        clock_gettime(CLOCK_MONOTONIC, &now);
        int length = snprintf(text, sizeof text, "~%lld%09ld~\n", (long long)now.tv_sec, now.tv_nsec);
        write_all(1, text, length);
    }
    stay();
}
