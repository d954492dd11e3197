/* The limit: what any program can do with ptys. Starts each command under a pty (-p: a pipe), reads, puts the name
   before each line, makes LF of CR LF, writes. Whole lines only, so that several sources do not mix.
   usage: drain [-p] NAME COMMAND [NAME COMMAND]... */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define READ_SIZE 65536
#define SOURCES 64

struct source {
    char prefix[80];
    size_t prefix_length;
    char held[2 * READ_SIZE]; /* an unfinished line, and the bytes of the last read */
    size_t size;
};

static struct source sources[SOURCES];
static struct pollfd polled[SOURCES];

static void write_all(const char *bytes, size_t length) {
    while (length) {
        ssize_t done = write(1, bytes, length);
        if (done < 0)
            exit(1);
        bytes += done;
        length -= done;
    }
}

static int start(const char *command, int use_pipe) {
    int ends[2], master;
    if (use_pipe && pipe(ends) < 0)
        exit(1);
    pid_t pid = use_pipe ? fork() : forkpty(&master, NULL, NULL, NULL);
    if (pid < 0)
        exit(1);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (use_pipe) {
            dup2(ends[1], 1);
            dup2(ends[1], 2);
            close(ends[0]);
            close(ends[1]);
        }
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    if (use_pipe)
        close(ends[1]);
    return use_pipe ? ends[0] : master;
}

/* Read once and write what is whole; 0 at the end. */
static int relay(struct source *source, int fd) {
    static char out[READ_SIZE * 64];
    ssize_t got = read(fd, source->held + source->size, READ_SIZE);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    char *line = source->held, *stop = line + source->size + got, *end = out, *newline;
    while ((newline = memchr(line, '\n', stop - line))) {
        size_t length = newline - line;
        if (length && line[length - 1] == '\r')
            length--;
        memcpy(end, source->prefix, source->prefix_length);
        end += source->prefix_length;
        memcpy(end, line, length);
        end += length;
        *end++ = '\n';
        line = newline + 1;
    }
    source->size = stop - line;
    memmove(source->held, line, source->size);
    if (source->size > READ_SIZE)
        source->size = 0; /* no payload line is that long */
    write_all(out, end - out);
    return 1;
}

int main(int argc, char **argv) {
    int use_pipe = argc > 1 && strcmp(argv[1], "-p") == 0, count = 0, open;
    for (int i = 1 + use_pipe; i + 1 < argc && count < SOURCES; i += 2, count++) {
        struct source *source = &sources[count];
        source->prefix_length = snprintf(source->prefix, sizeof source->prefix, "%-11s | ", argv[i]);
        polled[count] = (struct pollfd){.fd = start(argv[i + 1], use_pipe), .events = POLLIN};
    }
    for (open = count; open;) {
        if (count > 1)
            poll(polled, count, -1);
        for (int i = 0; i < count; i++) {
            if (polled[i].fd >= 0 && (count == 1 || polled[i].revents) && !relay(&sources[i], polled[i].fd)) {
                close(polled[i].fd);
                polled[i].fd = -1;
                open--;
            }
        }
    }
    return 0;
}
