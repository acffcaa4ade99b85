#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

void haltere_port_init_path(haltere_port *port, const char *path)
{
    memset(port, 0, sizeof *port);
    port->path = path;
    port->descriptor = -1;
}

bool haltere_port_init_tcp(haltere_port *port, const char *host_and_port)
{
    char host[256];
    const char *colon = strrchr(host_and_port, ':');
    memset(port, 0, sizeof *port);
    port->descriptor = -1;
    if (colon == NULL || colon == host_and_port || (size_t)(colon - host_and_port) >= sizeof host) {
        return false;
    }
    memcpy(host, host_and_port, (size_t)(colon - host_and_port));
    host[colon - host_and_port] = '\0';

    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return false;
    }
    memcpy(&port->address, found->ai_addr, found->ai_addrlen);
    port->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static int open_terminal(const char *path)
{
    int descriptor = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios settings;
    if (descriptor < 0) {
        return -1;
    }
    if (tcgetattr(descriptor, &settings) != 0) {
        close(descriptor);
        return -1;
    }
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    tcsetattr(descriptor, TCSANOW, &settings);
    tcflush(descriptor, TCIFLUSH);
    return descriptor;
}

/* The connection may still be under way on return: until it is there, reads and writes do nothing. */
static int open_tcp(const haltere_port *port)
{
    int on = 1;
    int descriptor = socket(port->address.ss_family, SOCK_STREAM, 0);
    if (descriptor < 0) {
        return -1;
    }
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(descriptor, (const struct sockaddr *)&port->address, port->address_size) != 0 &&
        errno != EINPROGRESS) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

bool haltere_port_maintain(haltere_port *port, uint64_t now_us)
{
    if (port->descriptor >= 0 || now_us < port->retry_us) {
        return false;
    }
    port->descriptor = port->path != NULL ? open_terminal(port->path) : open_tcp(port);
    port->unsent_size = 0;
    port->retry_us = now_us + HALTERE_PORT_RETRY_US;
    return port->descriptor >= 0;
}

int haltere_port_read(haltere_port *port, uint8_t *bytes, size_t size, uint64_t now_us)
{
    if (port->descriptor < 0) {
        return -1;
    }
    ssize_t got = read(port->descriptor, bytes, size);
    if (got > 0) {
        return (int)got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 0;
    }
    close(port->descriptor);
    port->descriptor = -1;
    port->retry_us = now_us + HALTERE_PORT_RETRY_US;
    return -1;
}

/* A failure shows as nothing sent here, and closes the port at the next read. */
static size_t send_some(const haltere_port *port, const uint8_t *bytes, size_t size)
{
    ssize_t sent = write(port->descriptor, bytes, size);
    return sent > 0 ? (size_t)sent : 0;
}

void haltere_port_flush(haltere_port *port)
{
    if (port->descriptor < 0 || port->unsent_size == 0) {
        return;
    }
    size_t sent = send_some(port, port->unsent, port->unsent_size);
    port->unsent_size -= sent;
    memmove(port->unsent, port->unsent + sent, port->unsent_size);
}

size_t haltere_port_write(haltere_port *port, const uint8_t *bytes, size_t size)
{
    haltere_port_flush(port);
    if (port->descriptor < 0 || port->unsent_size > 0 || size > sizeof port->unsent) {
        return 0;
    }
    size_t sent = send_some(port, bytes, size);
    if (sent == 0) {
        return 0;
    }
    port->unsent_size = size - sent;
    memcpy(port->unsent, bytes + sent, port->unsent_size);
    return size;
}
