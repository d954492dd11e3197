/* All producers of a run start at the same instant: each says on the FIFO `roll` that it is there, and waits for the end
   of the FIFO `gate`. When it has written everything it says so on the roll, and stays until it is killed: a runner
   would stop the others at its end. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int roll_fd;

static void say(char word) {
    if (write(roll_fd, &word, 1) != 1)
        exit(1);
}

static void wait_at(const char *gate, const char *roll) {
    char byte;
    int gate_fd = open(gate, O_RDONLY);
    roll_fd = open(roll, O_WRONLY);
    if (gate_fd < 0 || roll_fd < 0)
        exit(1);
    say('r');
    while (read(gate_fd, &byte, 1) > 0)
        ;
    close(gate_fd);
}

static void stay(void) {
    say('d');
    for (;;)
        pause();
}

static void write_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t done = write(fd, bytes, length);
        if (done < 0)
            exit(1);
        bytes += done;
        length -= done;
    }
}
