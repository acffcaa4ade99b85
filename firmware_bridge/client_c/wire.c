/*
 * A simulated serial line: two pseudo-terminals, and bytes carried between them at the pace of a UART.
 *
 * Pseudo-terminals ignore the baud rate; this program gives it back. Each direction is on its own: a byte
 * arrives when its ten bits (8N1) have passed, after all before it. Bytes are handed over as a UART's
 * receive FIFO would, 16 at a time or when the line falls idle. Both ends may be closed and opened again.
 * Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_SIZE 4096u
#define FIFO_SIZE 16u
#define BITS_PER_BYTE 10u
#define NS_PER_S 1000000000ull

static const char usage[] =
    "usage: haltere_wire PATH_A PATH_B [option value]...\n"
    "Makes two pseudo-terminals with links PATH_A and PATH_B, and joins them.\n"
    "  --baud 921600    bits per second; 0: as fast as can be\n"
    "  --baud-b N       of end B, if it is set wrongly: all bytes are garbled\n"
    "  --flip-every 0   flips one bit of each Nth byte of each direction\n"
    "  --drop-every 0   drops each Nth byte of each direction\n"
    "Prints `ready` once both exist; SIGTERM ends it, with counts on the standard error.\n";

typedef struct options {
    const char *path[2];
    uint32_t baud[2];
    uint32_t flip_every;
    uint32_t drop_every;
} options;

typedef struct direction {
    int from;
    int to;
    uint64_t byte_ns; /* time that one byte takes */
    bool garbled;
    uint8_t bytes[QUEUE_SIZE];
    uint64_t arrival_ns[QUEUE_SIZE];
    uint32_t head;    /* counts bytes taken out of the queue */
    uint32_t tail;    /* counts bytes put into the queue */
    uint64_t idle_ns; /* when the line falls idle */
    uint64_t carried;
    uint64_t overflowed; /* found the queue full */
    uint64_t overrun;    /* were not read by the far end in time */
    uint64_t flipped;
    uint64_t dropped;
    uint64_t taken;
} direction;

static volatile sig_atomic_t ending = 0;

static void end(int number)
{
    (void)number;
    ending = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Makes a pseudo-terminal and a link to it. Its far end stays open here, so that others may come and go. */
static int make_end(const char *path)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        perror("haltere_wire: no pseudo-terminal could be made");
        return -1;
    }
    struct termios settings;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || tcgetattr(slave, &settings) != 0) {
        perror("haltere_wire: the pseudo-terminal could not be opened");
        return -1;
    }
    cfmakeraw(&settings);
    tcsetattr(slave, TCSANOW, &settings);
    char old[8];
    if (readlink(path, old, sizeof old) >= 0) {
        unlink(path);
    }
    if (symlink(ptsname(master), path) != 0) {
        fprintf(stderr, "haltere_wire: %s could not be made: %s\n", path, strerror(errno));
        return -1;
    }
    return master;
}

/* What a receiver at another baud rate makes of a byte: anything, but the same at each run. */
static uint8_t garble(uint8_t byte, uint64_t count)
{
    uint64_t mixed = (count + 1) * 0x9E3779B97F4A7C15ull ^ (uint64_t)byte * 0xBF58476D1CE4E5B9ull;
    return (uint8_t)(mixed >> 40);
}

/* Applies the faults; returns whether the byte goes onto the line. */
static bool spoil(direction *line, const options *wanted, uint8_t *byte)
{
    line->taken++;
    if (wanted->drop_every > 0 && line->taken % wanted->drop_every == 0) {
        line->dropped++;
        return false;
    }
    if (wanted->flip_every > 0 && line->taken % wanted->flip_every == 0) {
        *byte ^= (uint8_t)(1u << (line->taken / wanted->flip_every % 8));
        line->flipped++;
    }
    if (line->garbled) {
        *byte = garble(*byte, line->taken);
    }
    return true;
}

/* Takes what the sender has written. */
static void take(direction *line, const options *wanted, uint64_t time_ns)
{
    uint8_t bytes[QUEUE_SIZE];
    ssize_t got = read(line->from, bytes, sizeof bytes);
    for (ssize_t i = 0; i < got; i++) {
        if (!spoil(line, wanted, &bytes[i])) {
            continue;
        }
        if (line->tail - line->head == QUEUE_SIZE) {
            line->overflowed++;
            continue;
        }
        uint64_t begin_ns = line->idle_ns > time_ns ? line->idle_ns : time_ns;
        line->idle_ns = begin_ns + line->byte_ns;
        line->bytes[line->tail % QUEUE_SIZE] = bytes[i];
        line->arrival_ns[line->tail % QUEUE_SIZE] = line->idle_ns;
        line->tail++;
    }
}

/* Hands over what has arrived by now. */
static void deliver(direction *line, uint64_t time_ns)
{
    uint8_t bytes[QUEUE_SIZE];
    size_t count = 0;
    while (line->head != line->tail && line->arrival_ns[line->head % QUEUE_SIZE] <= time_ns) {
        bytes[count++] = line->bytes[line->head++ % QUEUE_SIZE];
    }
    if (count > 0) {
        ssize_t sent = write(line->to, bytes, count);
        size_t done = sent > 0 ? (size_t)sent : 0;
        line->carried += done;
        line->overrun += count - done;
    }
}

/* Returns when bytes are next to be handed over, or UINT64_MAX. */
static uint64_t due_ns(const direction *line)
{
    uint32_t waiting = line->tail - line->head;
    if (waiting == 0) {
        return UINT64_MAX;
    }
    uint32_t last = waiting < FIFO_SIZE ? waiting : FIFO_SIZE;
    return line->arrival_ns[(line->head + last - 1) % QUEUE_SIZE];
}

static void serve(direction lines[2], const options *wanted, const sigset_t *signals)
{
    while (!ending) {
        uint64_t due = due_ns(&lines[0]) < due_ns(&lines[1]) ? due_ns(&lines[0]) : due_ns(&lines[1]);
        uint64_t time_ns = now_ns();
        uint64_t wait_ns = due > time_ns ? due - time_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                                .tv_nsec = (long)(wait_ns % NS_PER_S)};
        struct pollfd files[2] = {{.fd = lines[0].from, .events = POLLIN},
                                  {.fd = lines[1].from, .events = POLLIN}};
        if (ppoll(files, 2, due == UINT64_MAX ? NULL : &wait, signals) < 0 && errno != EINTR) {
            perror("haltere_wire");
            return;
        }
        time_ns = now_ns();
        for (int i = 0; i < 2; i++) {
            if (files[i].revents & POLLIN) {
                take(&lines[i], wanted, time_ns);
            }
            deliver(&lines[i], time_ns);
        }
    }
}

static bool read_options(options *wanted, int count, char **arguments)
{
    struct {
        const char *name;
        uint32_t *value;
    } numbers[] = {
        {"--baud", &wanted->baud[0]},
        {"--baud-b", &wanted->baud[1]},
        {"--flip-every", &wanted->flip_every},
        {"--drop-every", &wanted->drop_every},
    };
    bool good = count >= 3 && count % 2 == 1;
    *wanted = (options){.baud = {921600, UINT32_MAX}};
    for (int i = 3; good && i < count; i += 2) {
        char *tail = NULL;
        unsigned long value = strtoul(arguments[i + 1], &tail, 10);
        good = false;
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            if (strcmp(arguments[i], numbers[k].name) == 0) {
                *numbers[k].value = (uint32_t)value;
                good = tail != arguments[i + 1] && *tail == '\0' && value < UINT32_MAX;
            }
        }
        if (!good) {
            fprintf(stderr, "haltere_wire: %s %s: no such option, or not a number\n", arguments[i],
                    arguments[i + 1]);
        }
    }
    if (!good) {
        fputs(usage, stderr);
        return false;
    }
    wanted->path[0] = arguments[1];
    wanted->path[1] = arguments[2];
    if (wanted->baud[1] == UINT32_MAX) {
        wanted->baud[1] = wanted->baud[0];
    }
    return true;
}

static void report(const char *name, const direction *line)
{
    fprintf(stderr, "%s: carried %llu overflowed %llu overrun %llu flipped %llu dropped %llu\n", name,
            (unsigned long long)line->carried, (unsigned long long)line->overflowed,
            (unsigned long long)line->overrun, (unsigned long long)line->flipped,
            (unsigned long long)line->dropped);
}

int main(int count, char **arguments)
{
    static direction lines[2];
    options wanted;
    sigset_t blocked;
    sigset_t signals;
    if (!read_options(&wanted, count, arguments)) {
        return 2;
    }
    struct sigaction action = {.sa_handler = end};
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &signals);
    sigdelset(&signals, SIGTERM);
    sigdelset(&signals, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1ul);

    for (int i = 0; i < 2; i++) {
        lines[i].from = make_end(wanted.path[i]);
        if (lines[i].from < 0) {
            return 1;
        }
        uint32_t baud = wanted.baud[i];
        lines[i].byte_ns = baud > 0 ? BITS_PER_BYTE * NS_PER_S / baud : 0;
        lines[i].garbled = wanted.baud[0] != wanted.baud[1];
    }
    lines[0].to = lines[1].from;
    lines[1].to = lines[0].from;
    puts("ready");
    fflush(stdout);
    serve(lines, &wanted, &signals);
    unlink(wanted.path[0]);
    unlink(wanted.path[1]);
    report("A to B", &lines[0]);
    report("B to A", &lines[1]);
    return 0;
}
