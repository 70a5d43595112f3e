/* HTTP/1.1 on a socket of ours, for http:// endpoints: what libcurl would do, without libcurl in
 * the host's memory. One connection, kept between posts; the head is written once, a post patches
 * its length. Knows nothing of what it sends. Exporter thread only. */
#include "base/http1.h"
#include "base/url.h"
#include "export/dial.h"
#include "export/exporter.h"
#include "export/gzip.h"
#include "export/request_head.h"
#include "export/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Pieces per sendmsg; IOV_MAX is 1024, and a batch of usual size has twenty. */
#define PIECES_AT_ONCE 256

/* Room for what differs between posts: content type, encoding, length. */
#define HEAD_VARIABLE 256

struct plain {
    struct shim_transport transport;
    _Atomic uint32_t *phase;
    char *host; /* for dial: no brackets */
    uint16_t port;
    struct shim_fd fd;

    char *head;
    size_t head_fixed; /* bytes that never change */
    size_t head_len;

    struct shim_http1_response response;
    char body[SHIM_POST_BODY_MAX];
    char inflated[SHIM_POST_BODY_MAX];
    char input[16384];
    struct iovec iov[PIECES_AT_ONCE];
};

/* One request on its way. */
struct exchange {
    const struct shim_post *post;
    unsigned piece; /* 0: the head, else body piece + 1 */
    size_t offset;
    bool send_failed;
    bool answer_began;
    bool too_long;
};

static void phase_set(struct plain *plain, enum shim_export_phase phase)
{
    atomic_store_explicit(plain->phase, phase, memory_order_relaxed);
}

static bool all_sent(const struct exchange *exchange)
{
    return exchange->piece > exchange->post->body_count;
}

static void head_prepare(struct plain *plain, const struct shim_post *post)
{
    bool encoded = post->content_encoding != NULL;
    int len =
        snprintf(plain->head + plain->head_fixed, HEAD_VARIABLE,
                 "Content-Type: %.80s\r\n%s%.40s%sContent-Length: %zu\r\n\r\n", post->content_type,
                 encoded ? "Content-Encoding: " : "", encoded ? post->content_encoding : "",
                 encoded ? "\r\n" : "", post->body_len);
    plain->head_len = plain->head_fixed + (size_t)len;
}

static struct iovec piece_at(const struct plain *plain, const struct exchange *exchange,
                             unsigned index)
{
    if (index == 0)
        return (struct iovec){plain->head, plain->head_len};
    return exchange->post->body[index - 1];
}

static void sent_advance(const struct plain *plain, struct exchange *exchange, size_t sent)
{
    while (!all_sent(exchange)) {
        size_t left = piece_at(plain, exchange, exchange->piece).iov_len - exchange->offset;
        if (sent < left) {
            exchange->offset += sent;
            return;
        }
        sent -= left;
        exchange->piece++;
        exchange->offset = 0;
    }
}

/* Sends until the socket is full. A failure is not the end: the answer may be there already, such
 * as a 413 followed by a close. */
static int send_some(struct plain *plain, struct exchange *exchange)
{
    while (!all_sent(exchange)) {
        unsigned count = 0;
        while (count < PIECES_AT_ONCE && exchange->piece + count <= exchange->post->body_count) {
            plain->iov[count] = piece_at(plain, exchange, exchange->piece + count);
            count++;
        }
        plain->iov[0].iov_base = (char *)plain->iov[0].iov_base + exchange->offset;
        plain->iov[0].iov_len -= exchange->offset;
        struct msghdr message = {.msg_iov = plain->iov, .msg_iovlen = count};
        ssize_t sent = sendmsg(plain->fd.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            sent_advance(plain, exchange, (size_t)sent);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR) {
            exchange->send_failed = true;
            return -errno;
        }
    }
    return 0;
}

/* Reads what is there. 1: the answer is complete, 0: more is wanted, -ECONNRESET: it will not come,
 * -EPROTO: it is none. */
static int receive_some(struct plain *plain, struct exchange *exchange)
{
    for (;;) {
        ssize_t got = recv(plain->fd.fd, plain->input, sizeof(plain->input), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return exchange->send_failed ? -ECONNRESET : 0;
        if (got <= 0) {
            plain->response.keep_alive = false;
            return got == 0 && shim_http1_eof(&plain->response) == 1 ? 1 : -ECONNRESET;
        }
        exchange->answer_began = true;
        size_t used;
        int code = shim_http1_feed(&plain->response, plain->input, (size_t)got, &used);
        if (code < 0)
            return code;
        exchange->too_long = plain->response.body_total > sizeof(plain->body);
        if (code > 0 && used < (size_t)got)
            plain->response.keep_alive = false;
        if (code > 0 || exchange->too_long)
            return 1;
    }
}

/* 1: an answer is there; otherwise as receive_some, or -ETIMEDOUT. */
static int exchange_run(struct plain *plain, struct exchange *exchange)
{
    for (;;) {
        if (!shim_fd_is_ours(&plain->fd))
            return -EBADF;
        short events = POLLIN;
        if (!exchange->send_failed && send_some(plain, exchange) == 0 && !all_sent(exchange))
            events |= POLLOUT;
        if (!exchange->send_failed) {
            int code = shim_dial_wait(plain->fd.fd, events, exchange->post->deadline_ns);
            if (code < 0)
                return code;
            if (!shim_fd_is_ours(&plain->fd))
                return -EBADF;
        }
        int code = receive_some(plain, exchange);
        if (code != 0)
            return code;
    }
}

/* A kept connection that can be read from was closed, or says something that nobody asked for, such
 * as 408 before a close: of no use either way. */
static bool still_usable(struct plain *plain)
{
    char byte;
    return shim_fd_is_ours(&plain->fd) &&
           recv(plain->fd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void failed(struct shim_post_result *result, enum shim_post_outcome outcome,
                   const char *message)
{
    result->outcome = outcome;
    snprintf(result->message, sizeof(result->message), "%s", message);
}

static void answered(struct plain *plain, struct shim_post_result *result)
{
    const struct shim_http1_response *response = &plain->response;
    result->outcome = SHIM_POST_ANSWERED;
    result->status = response->status;
    memcpy(result->content_type, response->content_type, sizeof(result->content_type));
    memcpy(result->retry_after, response->retry_after, sizeof(result->retry_after));
    result->body = plain->body;
    result->body_len = response->body_len;
    struct shim_str encoding = shim_str(response->content_encoding);
    if (encoding.len > 0 && !shim_str_equal_nocase(encoding, shim_str("identity"))) {
        result->body = plain->inflated;
        if (shim_gzip_inflate(plain->body, response->body_len, plain->inflated,
                              sizeof(plain->inflated), &result->body_len) < 0)
            result->body_len = 0;
    }
}

static void outcome_of(struct plain *plain, const struct exchange *exchange, int code,
                       struct shim_post_result *result)
{
    if (code == 1)
        answered(plain, result);
    else if (code == -ETIMEDOUT)
        failed(result, SHIM_POST_TIMEOUT,
               all_sent(exchange) ? "no answer in time" : "not sent in time");
    else if (code == -EPROTO)
        failed(result, SHIM_POST_BROKEN, "the answer is not HTTP/1");
    else if (code == -EBADF)
        failed(result, SHIM_POST_BROKEN, "the process closed the connection's descriptor");
    else
        failed(result, SHIM_POST_BROKEN,
               exchange->answer_began ? "connection closed within the answer"
                                      : "connection closed without an answer");
}

static int exchange_begin(struct plain *plain, const struct shim_post *post,
                          struct exchange *ret_exchange)
{
    *ret_exchange = (struct exchange){.post = post};
    phase_set(plain, SHIM_EXPORT_SENDING);
    shim_http1_init(&plain->response, plain->body, sizeof(plain->body), false);
    return exchange_run(plain, ret_exchange);
}

static void plain_post(struct shim_transport *transport, const struct shim_post *post,
                       struct shim_post_result *ret_result)
{
    struct plain *plain = (struct plain *)transport;
    struct exchange exchange;
    int code = -ECONNRESET;
    memset(ret_result, 0, sizeof(*ret_result));
    head_prepare(plain, post);
    bool again = !still_usable(plain);
    if (!again) {
        /* The peer may close a kept connection at the moment in which it is used again. No answer
         * had begun then, so the request counts as not received and goes out once more. */
        code = exchange_begin(plain, post, &exchange);
        again = (code == -ECONNRESET || code == -EBADF) && !exchange.answer_began;
    }
    if (again) {
        phase_set(plain, SHIM_EXPORT_CONNECTING);
        shim_fd_close(&plain->fd);
        code = shim_dial(plain->host, plain->port, post->deadline_ns, &plain->fd,
                         ret_result->message, sizeof(ret_result->message));
        if (code < 0) {
            ret_result->outcome = SHIM_POST_UNREACHABLE;
            phase_set(plain, SHIM_EXPORT_IDLE);
            return;
        }
        code = exchange_begin(plain, post, &exchange);
    }
    outcome_of(plain, &exchange, code, ret_result);
    if (code != 1 || !plain->response.keep_alive || exchange.too_long || !all_sent(&exchange))
        shim_fd_close(&plain->fd);
    phase_set(plain, SHIM_EXPORT_IDLE);
}

static void plain_free(struct shim_transport *transport)
{
    struct plain *plain = (struct plain *)transport;
    shim_fd_close(&plain->fd);
    free(plain->host);
    free(plain->head);
    free(plain);
}

/* Path and query as they may stand in a request line. Returns the length; at most 3 bytes for one.
 */
static size_t target_add(char *dst, struct shim_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c > 0x20 && c < 0x7f) {
            dst[len++] = (char)c;
        } else {
            dst[len++] = '%';
            dst[len++] = digits[c >> 4];
            dst[len++] = digits[c & 15];
        }
    }
    return len;
}

static char *host_new(const struct shim_url *url)
{
    char *host = malloc(url->host.len + 1);
    if (!host)
        return NULL;
    /* Only the %25 of a zone id stands for anything here. */
    size_t len = url->host_is_ipv6 ? shim_request_decode(host, url->host) : url->host.len;
    if (!url->host_is_ipv6)
        memcpy(host, url->host.ptr, len);
    host[len] = '\0';
    return host;
}

static bool host_is_usable(struct shim_str host)
{
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.ptr[i] <= 0x20 || host.ptr[i] == 0x7f)
            return false;
    return host.len > 0 && host.len < 256;
}

/* All that never changes, up to the first variable line. */
static int head_build(struct plain *plain, const struct shim_url *url, const char *lines)
{
    const char *zone = url->host_is_ipv6 ? memchr(url->host.ptr, '%', url->host.len) : NULL;
    size_t host_len = zone ? (size_t)(zone - url->host.ptr) : url->host.len;
    char port[8] = "";
    if (plain->port != 80)
        snprintf(port, sizeof(port), ":%u", plain->port);
    plain->head = malloc(64 + 3 * (url->path.len + url->query.len) + host_len + strlen(lines) +
                         HEAD_VARIABLE);
    if (!plain->head)
        return -ENOMEM;
    char *at = plain->head;
    at = stpcpy(at, "POST ");
    at += target_add(at, url->path.len > 0 ? url->path : shim_str("/"));
    if (url->query.len > 0) {
        *at++ = '?';
        at += target_add(at, url->query);
    }
    at += sprintf(at, " HTTP/1.1\r\nHost: %s%.*s%s%s\r\n%s", url->host_is_ipv6 ? "[" : "",
                  (int)host_len, url->host.ptr, url->host_is_ipv6 ? "]" : "", port, lines);
    plain->head_fixed = (size_t)(at - plain->head);
    return 0;
}

struct shim_transport *shim_transport_plain_new(const struct shim_config *config,
                                                _Atomic uint32_t *phase, char *ret_message)
{
    struct shim_url url;
    ret_message[0] = '\0';
    if (shim_url_parse(shim_str(config->otlp_endpoint), &url) < 0 || !host_is_usable(url.host) ||
        !shim_str_equal_nocase(url.scheme, shim_str("http"))) {
        snprintf(ret_message, SHIM_REQUEST_MESSAGE, "the endpoint is no http:// URL");
        return NULL;
    }
    struct plain *plain = calloc(1, sizeof(*plain));
    char *lines = shim_request_head_new(&url, config->otlp_headers, ret_message);
    if (plain)
        plain->fd = SHIM_FD_NONE;
    if (!plain || !lines)
        goto no_memory;
    plain->transport = (struct shim_transport){plain_post, plain_free};
    plain->phase = phase;
    plain->port = url.port ? url.port : 80;
    plain->host = host_new(&url);
    if (!plain->host || head_build(plain, &url, lines) < 0)
        goto no_memory;
    free(lines);
    return &plain->transport;

no_memory:
    snprintf(ret_message, SHIM_REQUEST_MESSAGE, "no memory");
    free(lines);
    if (plain)
        plain_free(&plain->transport);
    return NULL;
}
