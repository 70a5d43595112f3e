/* The plain transport against a real server: what it sends, how it reads answers, and each way in
 * which a collector or the process around it can get in its way. */
#include "export/exporter.h"
#include "export/transport.h"

#include "base/clock.h"
#include "base/version.h"
#include "http_server.h"
#include "test_cmocka.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK_EMPTY     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static _Atomic uint32_t phase;

struct rig {
    struct http_server *server;
    struct shim_transport *transport;
    struct shim_config config;
    char endpoint[128];
    struct shim_post_result result;
};

static void transport_start(struct rig *rig, const char *format, unsigned port, const char *headers)
{
    char message[256];
    snprintf(rig->endpoint, sizeof(rig->endpoint), format, port);
    rig->config = (struct shim_config){.otlp_endpoint = rig->endpoint, .otlp_headers = headers};
    rig->transport = shim_transport_plain_new(&rig->config, &phase, message);
    assert_non_null(rig->transport);
    assert_string_equal(message, "");
}

static void rig_start(struct rig *rig, const struct http_step *steps, unsigned count)
{
    rig->server = http_server_start(steps, count);
    transport_start(rig, "http://127.0.0.1:%u/v1/traces", http_server_port(rig->server), "");
}

static void rig_stop(struct rig *rig)
{
    rig->transport->free(rig->transport);
    if (rig->server)
        http_server_stop(rig->server);
}

static enum shim_post_outcome post_pieces(struct rig *rig, const struct iovec *body, unsigned count,
                                          uint64_t limit_ms)
{
    struct shim_post post = {
        .body = body,
        .body_count = count,
        .content_type = "application/x-protobuf",
        .deadline_ns = limit_ms ? shim_clock_now() + limit_ms * 1000000 : UINT64_MAX,
    };
    for (unsigned i = 0; i < count; i++)
        post.body_len += body[i].iov_len;
    rig->transport->post(rig->transport, &post, &rig->result);
    assert_int_equal(phase, SHIM_EXPORT_IDLE);
    return rig->result.outcome;
}

static enum shim_post_outcome post(struct rig *rig, const char *text)
{
    struct iovec body = {(void *)text, strlen(text)};
    return post_pieces(rig, &body, 1, 0);
}

static void check_answer(const struct rig *rig, int status, const char *body)
{
    assert_int_equal(rig->result.outcome, SHIM_POST_ANSWERED);
    assert_int_equal(rig->result.status, status);
    assert_int_equal(rig->result.body_len, strlen(body));
    assert_memory_equal(rig->result.body, body, strlen(body));
}

/* The number of the transport's connection: the one socket whose peer is the server. */
static int find_connection(unsigned port)
{
    for (int fd = 10; fd < 1024; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && ntohs(peer.sin_port) == port)
            return fd;
    }
    fail_msg("no connection found");
    return -1;
}

static void keeps_the_connection(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(post(&rig, i % 2 ? "a longer body" : "short"), SHIM_POST_ANSWERED);
        check_answer(&rig, 200, "");
    }
    int fd = find_connection(http_server_port(rig.server));
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_true(fd >= 48);
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), 5);
    const struct http_request *last = http_server_request(rig.server, 3);
    assert_int_equal(last->connection, 1);
    assert_int_equal(last->body_len, 13);
    assert_memory_equal(last->body, "a longer body", 13);
    http_server_free(rig.server);
}

static void sends_the_head_it_should(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY}};
    struct rig rig = {.server = http_server_start(steps, COUNT(steps))};
    char expected[1024];
    unsigned port = http_server_port(rig.server);
    transport_start(&rig, "http://us%%40er:pa%%20ss@127.0.0.1:%u/a b/v1?x=\"1\"#part", port,
                    "x-one=1, X-Two = a%20b%2Cc ,,empty=");
    assert_int_equal(post(&rig, "body"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    snprintf(expected, sizeof(expected),
             "POST /a%%20b/v1?x=\"1\" HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
             "User-Agent: otelshim/" SHIM_VERSION " OTel-OTLP-Exporter-C/" SHIM_VERSION "\r\n"
             "x-one: 1\r\nX-Two: a b,c\r\nempty: \r\n"
             "Authorization: Basic dXNAZXI6cGEgc3M=\r\n"
             "Content-Type: application/x-protobuf\r\nContent-Length: 4\r\n\r\n",
             port);
    assert_string_equal(http_server_request(rig.server, 0)->head, expected);
    http_server_free(rig.server);
}

static void says_the_encoding(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY}};
    struct rig rig = {.server = http_server_start(steps, COUNT(steps))};
    transport_start(&rig, "HTTP://localhost:%u", http_server_port(rig.server), "");
    struct iovec body = {(void *)"zip", 3};
    struct shim_post one = {.body = &body,
                            .body_count = 1,
                            .body_len = 3,
                            .content_type = "text/x",
                            .content_encoding = "gzip",
                            .deadline_ns = UINT64_MAX};
    rig.transport->post(rig.transport, &one, &rig.result);
    check_answer(&rig, 200, "");
    assert_int_equal(post(&rig, "plain"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    const char *head = http_server_request(rig.server, 0)->head;
    assert_ptr_equal(strstr(head, "POST / HTTP/1.1\r\nHost: localhost:"), head);
    assert_non_null(strstr(head, "\r\nContent-Type: text/x\r\nContent-Encoding: gzip\r\n"));
    assert_null(strstr(http_server_request(rig.server, 1)->head, "Encoding"));
    http_server_free(rig.server);
}

static void headers_that_cannot_be_sent(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        const char *bad;
    } cases[] = {
        {"good=1,bad=a%0D%0AX-Evil: 1", "\"bad\""},
        {"bad=a%00b,good=1", "\"bad\""},
        {"bad=%0a,good=1", "\"bad\""},
        {"content-length=5,good=1", "\"content-length\""},
        {"HOST=x,good=1", "\"HOST\""},
        {"a b=1,good=1", "\"a b\""},
        {"=1,good=1", "\"\""},
        {"nothing,good=1", "\"\""},
    };
    static const struct http_step steps[] = {{.answer = OK_EMPTY, .close = true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig = {.server = http_server_start(steps, COUNT(steps))};
        char message[256];
        snprintf(rig.endpoint, sizeof(rig.endpoint), "http://127.0.0.1:%u/",
                 http_server_port(rig.server));
        rig.config =
            (struct shim_config){.otlp_endpoint = rig.endpoint, .otlp_headers = cases[i].headers};
        rig.transport = shim_transport_plain_new(&rig.config, &phase, message);
        assert_non_null(rig.transport);
        assert_non_null(strstr(message, cases[i].bad));
        assert_null(strstr(message, "Evil"));
        assert_int_equal(post(&rig, "x"), SHIM_POST_ANSWERED);
        rig_stop(&rig);
        const struct http_request *request = http_server_request(rig.server, 0);
        assert_non_null(strstr(request->head, "\r\ngood: 1\r\nContent-Type: "));
        assert_null(strstr(request->head, "Evil"));
        assert_null(strstr(request->head, "bad"));
        assert_int_equal(request->body_len, 1);
        http_server_free(rig.server);
    }
}

static void many_pieces_arrive_in_order(void **state)
{
    (void)state;
    enum { PIECES = 3000, SIZE = 3999 };
    static const struct http_step steps[] = {{.answer = OK_EMPTY}};
    struct rig rig;
    static char memory[PIECES][SIZE];
    static struct iovec body[PIECES];
    for (unsigned i = 0; i < PIECES; i++) {
        for (unsigned k = 0; k < SIZE; k++)
            memory[i][k] = (char)(i * 31 ^ k * 7);
        body[i] = (struct iovec){memory[i], i % 7 == 3 ? 0 : 1 + i * 13 % (SIZE - 1)};
    }
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post_pieces(&rig, body, PIECES, 0), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    const struct http_request *request = http_server_request(rig.server, 0);
    size_t at = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        assert_true(at + body[i].iov_len <= request->body_len);
        assert_memory_equal(request->body + at, memory[i], body[i].iov_len);
        at += body[i].iov_len;
    }
    assert_int_equal(request->body_len, at);
    http_server_free(rig.server);
}

static void a_kept_connection_that_was_closed(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY, .close = true},
                                             {.answer = OK_EMPTY}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "one"), SHIM_POST_ANSWERED);
    http_server_wait_closed(rig.server, 1);
    assert_int_equal(post(&rig, "two"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), 2);
    assert_int_equal(http_server_request(rig.server, 1)->connection, 2);
    http_server_free(rig.server);
}

/* The close comes in answer to the next request: sent again, once. */
static void a_kept_connection_closed_in_use(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY},
                                             {.close = true},
                                             {.answer = OK_EMPTY},
                                             {.close = true},
                                             {.close = true}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "one"), SHIM_POST_ANSWERED);
    assert_int_equal(post(&rig, "two"), SHIM_POST_ANSWERED);
    assert_int_equal(post(&rig, "three"), SHIM_POST_BROKEN);
    assert_string_equal(rig.result.message, "connection closed without an answer");
    rig_stop(&rig);
    static const unsigned connections[] = {1, 1, 2, 2, 3};
    static const char *const bodies[] = {"one", "two", "two", "three", "three"};
    assert_int_equal(http_server_requests(rig.server), 5);
    for (unsigned i = 0; i < 5; i++) {
        const struct http_request *request = http_server_request(rig.server, i);
        assert_int_equal(request->connection, connections[i]);
        assert_memory_equal(request->body, bodies[i], strlen(bodies[i]));
    }
    http_server_free(rig.server);
}

/* Not sent again once an answer has begun: it was received. */
static void a_kept_connection_closed_within_the_answer(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = OK_EMPTY},
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", .close = true}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "one"), SHIM_POST_ANSWERED);
    assert_int_equal(post(&rig, "two"), SHIM_POST_BROKEN);
    assert_string_equal(rig.result.message, "connection closed within the answer");
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), 2);
    http_server_free(rig.server);
}

/* An answer that nobody asked for, as some proxies send before they close: behind the real one, or
 * later. */
static void a_kept_connection_that_talks(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = OK_EMPTY "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"},
        {.answer = OK_EMPTY}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "one"), SHIM_POST_ANSWERED);
    assert_int_equal(post(&rig, "two"), SHIM_POST_ANSWERED);
    check_answer(&rig, 200, "");
    http_server_say(rig.server, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(post(&rig, "three"), SHIM_POST_ANSWERED);
    check_answer(&rig, 200, "");
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), 3);
    assert_int_equal(http_server_request(rig.server, 1)->connection, 2);
    assert_int_equal(http_server_request(rig.server, 2)->connection, 3);
    http_server_free(rig.server);
}

static void answers_of_all_kinds(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
         .slice = 1},
        {.answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", .slice = 1},
        {.answer = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Type: text/plain\r\n"
                   "Content-Length: 4\r\n\r\nwait",
         .slice = 3},
        {.answer = "HTTP/1.0 500 Oh\r\n\r\nuntil the end", .slice = 5, .close = true},
        {.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!"},
        {.answer = OK_EMPTY},
    };
    static const struct {
        int status;
        const char *body;
        unsigned connection;
    } expected[] = {{200, "abcde", 1},         {204, "", 1},  {429, "wait", 1},
                    {500, "until the end", 1}, {200, "!", 2}, {200, "", 3}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    for (unsigned i = 0; i < COUNT(expected); i++) {
        post(&rig, "x");
        check_answer(&rig, expected[i].status, expected[i].body);
        if (expected[i].status == 429) {
            assert_string_equal(rig.result.retry_after, "7");
            assert_string_equal(rig.result.content_type, "text/plain");
        }
    }
    rig_stop(&rig);
    for (unsigned i = 0; i < COUNT(expected); i++)
        assert_int_equal(http_server_request(rig.server, i)->connection, expected[i].connection);
    http_server_free(rig.server);
}

static void garbage_is_no_answer(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "220 mail.example.org ESMTP\r\n", .hang = true},
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
         .hang = true},
        {.answer = "\x15\x03\x01", .hang = true},
    };
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    for (unsigned i = 0; i < COUNT(steps); i++) {
        assert_int_equal(post(&rig, "x"), SHIM_POST_BROKEN);
        assert_string_equal(rig.result.message, "the answer is not HTTP/1");
    }
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), COUNT(steps));
    http_server_free(rig.server);
}

static void a_huge_answer_is_cut(void **state)
{
    (void)state;
    static char huge[2 << 20];
    int head = snprintf(huge, sizeof(huge), "HTTP/1.1 400 No\r\nContent-Length: %zu\r\n\r\n",
                        sizeof(huge) * 10);
    memset(huge + head, 'x', sizeof(huge) - (size_t)head);
    const struct http_step steps[] = {{.answer = huge, .answer_len = sizeof(huge), .hang = true},
                                      {.answer = OK_EMPTY}};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "x"), SHIM_POST_ANSWERED);
    assert_int_equal(rig.result.status, 400);
    assert_int_equal(rig.result.body_len, SHIM_POST_BODY_MAX);
    assert_int_equal(rig.result.body[SHIM_POST_BODY_MAX - 1], 'x');
    assert_int_equal(post(&rig, "x"), SHIM_POST_ANSWERED);
    check_answer(&rig, 200, "");
    rig_stop(&rig);
    http_server_free(rig.server);
}

/* The server refuses a large request without reading it. */
static void an_early_answer_is_taken(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig",
         .skip_body = true,
         .deaf = true},
        {.answer = OK_EMPTY}};
    static char large[16 << 20];
    struct iovec body = {large, sizeof(large)};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post_pieces(&rig, &body, 1, 0), SHIM_POST_ANSWERED);
    check_answer(&rig, 413, "big");
    assert_int_equal(post(&rig, "small"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    assert_int_equal(http_server_request(rig.server, 1)->connection, 2);
    http_server_free(rig.server);
}

static void no_answer_in_time(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.hang = true},
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", .hang = true},
        {.answer = OK_EMPTY}};
    struct iovec body = {(void *)"x", 1};
    struct rig rig;
    rig_start(&rig, steps, COUNT(steps));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(post_pieces(&rig, &body, 1, 50), SHIM_POST_TIMEOUT);
        assert_string_equal(rig.result.message, "no answer in time");
    }
    assert_int_equal(post(&rig, "x"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    assert_int_equal(http_server_requests(rig.server), 3);
    http_server_free(rig.server);
}

/* A bound socket that does not listen: nobody else gets its port. */
static int socket_bound(unsigned *ret_port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    *ret_port = ntohs(name.sin_port);
    return fd;
}

static void nobody_listens(void **state)
{
    (void)state;
    static const char *const formats[] = {"http://127.0.0.1:%u/", "http://localhost:%u/"};
    unsigned port;
    int fd = socket_bound(&port);
    for (size_t i = 0; i < COUNT(formats); i++) {
        struct rig rig = {.server = NULL};
        transport_start(&rig, formats[i], port, "");
        assert_int_equal(post(&rig, "x"), SHIM_POST_UNREACHABLE);
        assert_string_equal(rig.result.message, "no connection: Connection refused");
        rig_stop(&rig);
    }
    close(fd);
}

static void no_such_name(void **state)
{
    (void)state;
    struct rig rig = {.server = NULL};
    transport_start(&rig, "http://no..name:%u/", 4318, "");
    assert_int_equal(post(&rig, "x"), SHIM_POST_UNREACHABLE);
    assert_ptr_equal(strstr(rig.result.message, "name not resolved: "), rig.result.message);
    rig_stop(&rig);
}

/* A full queue of connections swallows further ones, as a firewall does. */
static void connections_that_hang(void **state)
{
    (void)state;
    struct rig rig = {.server = NULL};
    struct iovec body = {(void *)"x", 1};
    unsigned port;
    int listener = socket_bound(&port), waiting[4];
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(listen(listener, 0), 0);
    for (unsigned i = 0; i < COUNT(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(waiting[i], (struct sockaddr *)&name, sizeof(name));
    }
    transport_start(&rig, "http://127.0.0.1:%u/", port, "");
    assert_int_equal(post_pieces(&rig, &body, 1, 50), SHIM_POST_UNREACHABLE);
    assert_string_equal(rig.result.message, "no connection: Connection timed out");
    rig_stop(&rig);
    for (unsigned i = 0; i < COUNT(waiting); i++)
        close(waiting[i]);
    close(listener);
}

/* The host closes everything, and a file of its own gets our number. */
static void a_stolen_descriptor_is_left_alone(void **state)
{
    (void)state;
    static const struct http_step steps[] = {{.answer = OK_EMPTY}};
    struct rig rig;
    char byte;
    rig_start(&rig, steps, COUNT(steps));
    assert_int_equal(post(&rig, "one"), SHIM_POST_ANSWERED);
    int number = find_connection(http_server_port(rig.server)), pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], number), number);
    assert_int_equal(post(&rig, "two"), SHIM_POST_ANSWERED);
    rig_stop(&rig);
    assert_true(fcntl(number, F_GETFD) >= 0);
    assert_int_equal(recv(pair[1], &byte, 1, 0), -1);
    assert_int_equal(http_server_request(rig.server, 1)->connection, 2);
    close(number);
    close(pair[0]);
    close(pair[1]);
    http_server_free(rig.server);
}

static void endpoints_that_are_refused(void **state)
{
    (void)state;
    static const char *const endpoints[] = {"https://127.0.0.1/", "ftp://127.0.0.1/", "http://", "",
                                            "http://a b/",        "http://a\r\nX: y/"};
    for (size_t i = 0; i < COUNT(endpoints); i++) {
        char message[256] = "";
        struct shim_config config = {.otlp_endpoint = endpoints[i], .otlp_headers = ""};
        assert_null(shim_transport_plain_new(&config, &phase, message));
        assert_true(message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_connection),
        cmocka_unit_test(sends_the_head_it_should),
        cmocka_unit_test(says_the_encoding),
        cmocka_unit_test(headers_that_cannot_be_sent),
        cmocka_unit_test(many_pieces_arrive_in_order),
        cmocka_unit_test(a_kept_connection_that_was_closed),
        cmocka_unit_test(a_kept_connection_closed_in_use),
        cmocka_unit_test(a_kept_connection_closed_within_the_answer),
        cmocka_unit_test(a_kept_connection_that_talks),
        cmocka_unit_test(answers_of_all_kinds),
        cmocka_unit_test(garbage_is_no_answer),
        cmocka_unit_test(a_huge_answer_is_cut),
        cmocka_unit_test(an_early_answer_is_taken),
        cmocka_unit_test(no_answer_in_time),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(no_such_name),
        cmocka_unit_test(connections_that_hang),
        cmocka_unit_test(a_stolen_descriptor_is_left_alone),
        cmocka_unit_test(endpoints_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
