/* A well-behaved component: says one line, then is silent until a signal ends it.
   usage: say TEXT */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    puts(argc > 1 ? argv[1] : "");
    fflush(stdout);
    for (;;)
        pause();
}
