/* The benchmark's HTTP/1.1 server: see serve.h. One thread. A connection is a buffer that grows up
 * to one request; whole requests are answered in place, so pipelined ones go out in one write. */
#include "serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX    (64 * 1024)
#define BODY_MAX    ((size_t)64 * 1024 * 1024)
#define FIRST_SPACE 4096
#define ANSWERS_MAX (16 * SERVE_ANSWER_MAX)

struct connection {
    int socket;
    char *data;
    size_t size;
    size_t capacity;
    bool continued; /* "100 Continue" went out for the request at the front */
};

struct head {
    struct serve_request request;
    size_t head_size;
    bool expects_continue;
};

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
    (void)number;
    stop = 1;
}

static void connection_free(struct connection *connection)
{
    close(connection->socket);
    free(connection->data);
    free(connection);
}

/* The value of a header line that starts at line, or NULL. */
static const char *header_value(const char *line, const char *name)
{
    size_t size = strlen(name);
    return strncasecmp(line, name, size) == 0 ? line + size : NULL;
}

static int read_headers(const char *line, const char *end, struct head *head)
{
    while (line < end) {
        const char *value = header_value(line, "content-length:");
        if (value)
            head->request.body_size = strtoul(value, NULL, 10);
        if (header_value(line, "transfer-encoding:"))
            return -EPROTO;
        value = header_value(line, "expect:");
        if (value)
            head->expects_continue = true;
        line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    }
    return head->request.body_size <= BODY_MAX ? 0 : -EMSGSIZE;
}

/* 1 when a whole head is there, 0 when not yet, -Exxx when this is no request of ours. */
static int parse_head(const char *data, size_t size, struct head *ret_head)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end)
        return size > HEAD_MAX ? -EMSGSIZE : 0;
    end += 4;
    const char *line_end = memchr(data, '\n', (size_t)(end - data));
    const char *path = memchr(data, ' ', (size_t)(line_end - data));
    const char *path_end = path ? memchr(path + 1, ' ', (size_t)(line_end - path - 1)) : NULL;
    if (!path_end)
        return -EPROTO;
    *ret_head = (struct head){
        .request = {.method = data,
                    .method_size = (size_t)(path - data),
                    .path = path + 1,
                    .path_size = (size_t)(path_end - path - 1),
                    .body = end},
        .head_size = (size_t)(end - data),
    };
    if (memcmp(data, "GET ", 4) == 0)
        return 1;
    int error = read_headers(line_end + 1, end - 2, ret_head);
    return error ? error : 1;
}

static int send_all(int socket, const char *data, size_t size)
{
    return send(socket, data, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -EPIPE;
}

/* Answers what is whole; keeps the rest at the front of the buffer. */
static int answer_requests(struct connection *connection, serve_answer_fn *answer)
{
    char answers[ANSWERS_MAX];
    size_t answers_size = 0;
    size_t done = 0;
    struct head head;
    int found;
    while ((found = parse_head(connection->data + done, connection->size - done, &head)) == 1) {
        if (connection->size - done < head.head_size + head.request.body_size) {
            static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
            if (head.expects_continue && !connection->continued &&
                send_all(connection->socket, proceed, sizeof(proceed) - 1) < 0)
                return -EPIPE;
            connection->continued = true;
            break;
        }
        answers_size += answer(&head.request, answers + answers_size);
        done += head.head_size + head.request.body_size;
        connection->continued = false;
        if (answers_size > ANSWERS_MAX - SERVE_ANSWER_MAX) {
            if (send_all(connection->socket, answers, answers_size) < 0)
                return -EPIPE;
            answers_size = 0;
        }
    }
    if (found < 0)
        return found;
    memmove(connection->data, connection->data + done, connection->size - done);
    connection->size -= done;
    return answers_size ? send_all(connection->socket, answers, answers_size) : 0;
}

static int connection_grow(struct connection *connection)
{
    if (connection->size < connection->capacity)
        return 0;
    if (connection->capacity > HEAD_MAX + BODY_MAX)
        return -EMSGSIZE;
    size_t capacity = connection->capacity * 2;
    char *data = realloc(connection->data, capacity);
    if (!data)
        return -ENOMEM;
    connection->data = data;
    connection->capacity = capacity;
    return 0;
}

/* 0 to go on, -Exxx when the connection is over. */
static int connection_read(struct connection *connection, serve_answer_fn *answer)
{
    int error = connection_grow(connection);
    if (error)
        return error;
    ssize_t got = recv(connection->socket, connection->data + connection->size,
                       connection->capacity - connection->size, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -ECONNRESET;
    connection->size += (size_t)got;
    return answer_requests(connection, answer);
}

static void connection_accept(int epoll, int listener)
{
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0)
        return;
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct connection *connection = calloc(1, sizeof(*connection));
    char *data = malloc(FIRST_SPACE);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (!connection || !data || epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) < 0) {
        free(connection);
        free(data);
        close(socket);
        return;
    }
    *connection = (struct connection){.socket = socket, .data = data, .capacity = FIRST_SPACE};
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -errno;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        int error = errno;
        close(listener);
        return -error;
    }
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int serve_run(uint16_t port, serve_answer_fn *answer)
{
    /* The signals are let in during the wait only, so none is missed between the test and the wait.
     */
    sigset_t blocked, before;
    struct sigaction action = {.sa_handler = on_stop};
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return -errno;
    int listener = listen_on(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
        close(epoll);
        return listener < 0 ? listener : -errno;
    }
    while (!stop) {
        struct epoll_event events[64];
        int count = epoll_pwait(epoll, events, 64, -1, &before);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                connection_accept(epoll, listener);
            else if (connection_read(connection, answer) < 0)
                connection_free(connection);
        }
    }
    close(listener);
    close(epoll);
    return 0;
}
