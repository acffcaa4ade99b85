/* The simulated flight controller's line to the runtime: a terminal or a TCP connection, opened again when
 * it dies. POSIX. */
#ifndef HALTERE_PORT_H
#define HALTERE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "haltere_messages.h"

#define HALTERE_PORT_RETRY_US 100000u

typedef struct haltere_port {
    const char *path; /**< terminal, or NULL for TCP */
    struct sockaddr_storage address;
    socklen_t address_size;
    int descriptor;    /**< -1 while closed */
    uint64_t retry_us; /**< wall clock at which it is opened again */
    uint8_t unsent[HALTERE_MAX_WIRE_SIZE];
    size_t unsent_size; /**< end of a frame that the line took in part */
} haltere_port;

/** Sets up a port to a terminal; it is opened by `haltere_port_maintain`. */
void haltere_port_init_path(haltere_port *port, const char *path);

/** Sets up a port to HOST:PORT. Returns whether that is an address. */
bool haltere_port_init_tcp(haltere_port *port, const char *host_and_port);

/** Opens the port if it is closed and the time has come. Returns whether it was opened now. */
bool haltere_port_maintain(haltere_port *port, uint64_t now_us);

/** Returns the bytes read, 0 if there are none, or -1 if the port is or has just been closed. */
int haltere_port_read(haltere_port *port, uint8_t *bytes, size_t size, uint64_t now_us);

/** Sends what a full line left over. */
void haltere_port_flush(haltere_port *port);

/** Sends a frame without waiting: all of it (the end perhaps later) or nothing. Returns the bytes taken. */
size_t haltere_port_write(haltere_port *port, const uint8_t *bytes, size_t size);

#endif
