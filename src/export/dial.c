/* Address list and non-blocking connect. What needs no resolver does without it: getaddrinfo loads
 * plug-ins, opens files and takes milliseconds, and most collectors are on this machine. Knows
 * nothing of HTTP. Exporter thread only. */
#include "export/dial.h"

#include "base/clock.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define ADDRESS_MAX 16

/* One address that swallows packets must not use up the time of the others; and where the user
 * allows any time at all, the kernel's two minutes are still not what they meant. */
#define ADDRESS_TIME_MAX_NS 10000000000u

struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
};

static void address_add_v4(struct address *list, unsigned *count, struct in_addr ip, uint16_t port)
{
    struct address *address = &list[(*count)++];
    memset(address, 0, sizeof(*address));
    address->len = sizeof(address->name.v4);
    address->name.v4.sin_family = AF_INET;
    address->name.v4.sin_port = htons(port);
    address->name.v4.sin_addr = ip;
}

static void address_add_v6(struct address *list, unsigned *count, struct in6_addr ip, uint16_t port)
{
    struct address *address = &list[(*count)++];
    memset(address, 0, sizeof(*address));
    address->len = sizeof(address->name.v6);
    address->name.v6.sin6_family = AF_INET6;
    address->name.v6.sin6_port = htons(port);
    address->name.v6.sin6_addr = ip;
}

static bool is_localhost(const char *host)
{
    struct shim_str name = shim_str(host);
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    return shim_str_equal_nocase(name, shim_str("localhost"));
}

/* 0, or an EAI_ code. */
static int resolve(const char *host, uint16_t port, struct address *list, unsigned *ret_count)
{
    char service[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    snprintf(service, sizeof(service), "%u", port);
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0)
        return code;
    for (struct addrinfo *at = found; at && *ret_count < ADDRESS_MAX; at = at->ai_next) {
        struct address *address = &list[*ret_count];
        if (at->ai_addrlen > sizeof(address->name))
            continue;
        address->len = at->ai_addrlen;
        memcpy(&address->name, at->ai_addr, at->ai_addrlen);
        (*ret_count)++;
    }
    freeaddrinfo(found);
    return 0;
}

static int look_up(const char *host, uint16_t port, struct address *list, unsigned *ret_count)
{
    struct in_addr v4;
    struct in6_addr v6;
    *ret_count = 0;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        address_add_v4(list, ret_count, v4, port);
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        address_add_v6(list, ret_count, v6, port);
    } else if (is_localhost(host)) {
        address_add_v6(list, ret_count, in6addr_loopback, port);
        address_add_v4(list, ret_count, (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
    } else {
        return resolve(host, port, list, ret_count);
    }
    return 0;
}

int shim_dial_wait(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd entry = {.fd = fd, .events = events};
    for (;;) {
        int timeout_ms = -1;
        if (deadline_ns != UINT64_MAX) {
            uint64_t now = shim_clock_now();
            uint64_t left_ms = now < deadline_ns ? (deadline_ns - now + 999999) / 1000000 : 0;
            timeout_ms = left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
        }
        int ready = poll(&entry, 1, timeout_ms);
        if (ready > 0)
            return entry.revents & POLLNVAL ? -EBADF : 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready == 0 && timeout_ms != INT32_MAX)
            return -ETIMEDOUT;
    }
}

static int connect_one(const struct address *address, uint64_t deadline_ns, struct shim_fd *ret_fd)
{
    int error = 0, one = 1;
    socklen_t error_len = sizeof(error);
    int fd = socket(address->name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int code = shim_fd_take(fd, ret_fd);
    if (code < 0)
        return code;
    setsockopt(ret_fd->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(ret_fd->fd, &address->name.any, address->len) == 0)
        return 0;
    code = -errno;
    if (code == -EINPROGRESS)
        code = shim_dial_wait(ret_fd->fd, POLLOUT, deadline_ns);
    if (code == 0 && !shim_fd_is_ours(ret_fd))
        code = -EBADF;
    if (code == 0 && getsockopt(ret_fd->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        code = -errno;
    if (code == 0)
        code = -error;
    if (code < 0)
        shim_fd_close(ret_fd);
    return code;
}

/* Until when the next of `left` addresses may be tried. */
static uint64_t share_of_time(uint64_t deadline_ns, unsigned left)
{
    uint64_t now = shim_clock_now();
    uint64_t share = ADDRESS_TIME_MAX_NS;
    if (deadline_ns != UINT64_MAX) {
        uint64_t all = deadline_ns > now ? deadline_ns - now : 0;
        if (left == 1)
            return deadline_ns;
        share = all / left < share ? all / left : share;
    }
    return now + share;
}

int shim_dial(const char *host, uint16_t port, uint64_t deadline_ns, struct shim_fd *ret_fd,
              char *ret_message, size_t message_cap)
{
    struct address list[ADDRESS_MAX];
    char text[128];
    unsigned count;
    *ret_fd = SHIM_FD_NONE;
    int code = look_up(host, port, list, &count);
    if (code != 0 || count == 0) {
        snprintf(ret_message, message_cap, "name not resolved: %s",
                 code ? gai_strerror(code) : "no address");
        return -EHOSTUNREACH;
    }
    for (unsigned i = 0; i < count; i++) {
        code = connect_one(&list[i], share_of_time(deadline_ns, count - i), ret_fd);
        if (code == 0)
            return 0;
    }
    snprintf(ret_message, message_cap, "no connection: %s", strerror_r(-code, text, sizeof(text)));
    return code;
}
