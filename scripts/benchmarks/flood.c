/* Writes payload lines as fast as they are taken, in pieces that end mid-line.
   usage: flood GATE ROLL ID KIND LENGTH LINES      (LINES 0: for ever) */
#include "gate.h"
#include "payload.h"

#define PIECE 4093 /* bytes of one write: prime, so no line length divides it */
#define BLOCK (PIECE * 16)

static char block[BLOCK + LONGEST];

int main(int argc, char **argv) {
    if (argc != 7)
        return 2;
    struct line line = first_line(kind_named(argv[4]), atol(argv[5]), argv[3][0]);
    unsigned long lines = strtoul(argv[6], NULL, 10);
    size_t filled = 0;
    wait_at(argv[1], argv[2]);
    while (!lines || line.number < lines) {
        while (filled < BLOCK && (!lines || line.number < lines)) {
            filled += put(&line, block + filled);
            go_to_next(&line);
        }
        size_t written = 0;
        for (; filled - written >= PIECE; written += PIECE)
            write_all(1, block + written, PIECE);
        filled -= written;
        memmove(block, block + written, filled);
    }
    write_all(1, block, filled);
    stay();
}
