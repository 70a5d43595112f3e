/* A small HTTP server that does what it is told, for tests of the transports: one thread, one
 * connection at a time, on a free port of 127.0.0.1. It answers request after request by a list of
 * steps. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_step {
    const char *answer; /* NULL: nothing is said */
    size_t answer_len;  /* 0: all of the text */
    size_t slice;       /* bytes per send, 0: all at once */
    bool skip_body;     /* answers after the request's head */
    bool close;         /* closes the connection then */
    bool hang;          /* reads and says nothing until the client closes */
    bool deaf;          /* reads nothing more, and closes when the next connection comes */
};

struct http_request {
    char *head; /* with the empty line, NUL-terminated */
    char *body;
    size_t body_len;
    unsigned connection; /* from 1 */
};

/* `steps` is borrowed; when they are used up, the last one is repeated. */
struct http_server *http_server_start(const struct http_step *steps, unsigned count);
unsigned http_server_port(const struct http_server *server);

/* Waits until the server itself has closed this many connections. */
void http_server_wait_closed(struct http_server *server, unsigned count);

/* Says something on the connection that is open now, unasked. The client must have had its answer.
 */
void http_server_say(struct http_server *server, const char *text);

/* Ends the thread; the requests can be looked at once they were answered. */
void http_server_stop(struct http_server *server);
unsigned http_server_requests(struct http_server *server);
const struct http_request *http_server_request(struct http_server *server, unsigned index);
void http_server_free(struct http_server *server);
