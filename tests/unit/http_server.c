/* The thread of http_server.h. */
#include "http_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX 64

struct http_server {
    const struct http_step *step;
    unsigned step_count;
    unsigned port;
    int listener;
    int stop[2]; /* a pipe: closed to stop */
    pthread_t thread;
    sem_t closed;
    unsigned connections;
    pthread_mutex_t lock; /* of what the test may look at while the server runs: */
    int connection;       /* the open one; -1: none */
    struct http_request request[REQUESTS_MAX];
    unsigned request_count;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* False: told to stop. */
static bool wait_readable(const struct http_server *server, int fd)
{
    struct pollfd entry[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = server->stop[0], .events = POLLIN}};
    must(poll(entry, 2, -1) > 0, "poll");
    return entry[1].revents == 0;
}

/* Bytes read; 0: the connection is over or the server is to stop. */
static size_t read_some(const struct http_server *server, int fd, char *dst, size_t cap)
{
    if (!wait_readable(server, fd))
        return 0;
    ssize_t got = recv(fd, dst, cap, 0);
    return got > 0 ? (size_t)got : 0;
}

static bool read_head(struct http_server *server, int fd, struct http_request *request)
{
    size_t len = 0;
    request->head = calloc(1, 65536);
    must(request->head != NULL, "calloc");
    while (len < 65535 && !strstr(request->head, "\r\n\r\n")) {
        size_t got = read_some(server, fd, request->head + len, 1);
        if (got == 0)
            return false;
        len += got;
    }
    return true;
}

static bool read_body(struct http_server *server, int fd, struct http_request *request)
{
    const char *length = strstr(request->head, "\r\nContent-Length: ");
    size_t len = length ? strtoul(length + 18, NULL, 10) : 0;
    request->body = malloc(len + 1);
    must(request->body != NULL, "malloc");
    while (request->body_len < len) {
        size_t got =
            read_some(server, fd, request->body + request->body_len, len - request->body_len);
        if (got == 0)
            return false;
        request->body_len += got;
    }
    return true;
}

static void say(int fd, const struct http_step *step)
{
    size_t len = step->answer_len ? step->answer_len : strlen(step->answer);
    size_t slice = step->slice ? step->slice : len;
    for (size_t at = 0; at < len;) {
        ssize_t sent =
            send(fd, step->answer + at, len - at < slice ? len - at : slice, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client has had enough */
        at += (size_t)sent;
    }
}

/* One request and what is to follow it. False: the connection is over. */
static bool serve(struct http_server *server, int fd)
{
    unsigned index = http_server_requests(server);
    must(index < REQUESTS_MAX, "too many requests");
    struct http_request *request = &server->request[index];
    const struct http_step *step =
        &server->step[index < server->step_count ? index : server->step_count - 1];
    if (!read_head(server, fd, request) || (!step->skip_body && !read_body(server, fd, request))) {
        free(request->head);
        free(request->body);
        *request = (struct http_request){0};
        return false;
    }
    request->connection = server->connections;
    pthread_mutex_lock(&server->lock);
    server->request_count++;
    pthread_mutex_unlock(&server->lock);
    if (step->answer)
        say(fd, step);
    char sink[4096];
    while (step->hang && read_some(server, fd, sink, sizeof(sink)) > 0)
        continue;
    if (step->deaf)
        wait_readable(server, server->listener);
    return !step->close && !step->hang && !step->deaf;
}

static void use_connection(struct http_server *server, int fd)
{
    pthread_mutex_lock(&server->lock);
    server->connection = fd;
    pthread_mutex_unlock(&server->lock);
}

static void *server_main(void *data)
{
    struct http_server *server = data;
    while (wait_readable(server, server->listener)) {
        int one = 1, fd = accept(server->listener, NULL, NULL);
        must(fd >= 0, "accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        server->connections++;
        use_connection(server, fd);
        while (serve(server, fd))
            continue;
        use_connection(server, -1);
        close(fd);
        sem_post(&server->closed);
    }
    return NULL;
}

struct http_server *http_server_start(const struct http_step *steps, unsigned count)
{
    struct http_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);
    must(server != NULL, "calloc");
    server->step = steps;
    server->step_count = count;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    /* Little room: large requests come in pieces that end anywhere. */
    must(setsockopt(server->listener, SOL_SOCKET, SO_RCVBUF, &(int){131072}, sizeof(int)) == 0,
         "setsockopt");
    must(bind(server->listener, (struct sockaddr *)&name, len) == 0, "bind");
    must(listen(server->listener, 16) == 0, "listen");
    must(getsockname(server->listener, (struct sockaddr *)&name, &len) == 0, "getsockname");
    server->port = ntohs(name.sin_port);
    must(pipe(server->stop) == 0, "pipe");
    must(sem_init(&server->closed, 0, 0) == 0, "sem_init");
    must(pthread_mutex_init(&server->lock, NULL) == 0, "pthread_mutex_init");
    must(pthread_create(&server->thread, NULL, server_main, server) == 0, "pthread_create");
    return server;
}

unsigned http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_wait_closed(struct http_server *server, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        must(sem_wait(&server->closed) == 0, "sem_wait");
}

void http_server_say(struct http_server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    must(send(server->connection, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text),
         "send");
    pthread_mutex_unlock(&server->lock);
}

void http_server_stop(struct http_server *server)
{
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->listener);
}

unsigned http_server_requests(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned count = server->request_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const struct http_request *http_server_request(struct http_server *server, unsigned index)
{
    must(index < http_server_requests(server), "no such request");
    return &server->request[index];
}

void http_server_free(struct http_server *server)
{
    for (unsigned i = 0; i < server->request_count; i++) {
        free(server->request[i].head);
        free(server->request[i].body);
    }
    sem_destroy(&server->closed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
