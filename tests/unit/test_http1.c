/* The response parser: whole answers, each cut at every byte, and answers that must be refused. */
#include "base/http1.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct answer {
    const char *text;
    int status;
    const char *body;
    bool keep_alive;
    bool until_close; /* ends with the connection only */
    size_t rest;      /* bytes of the text behind the answer */
};

static const struct answer ANSWERS[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true, false, 0},
    {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello", true, false, 0},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", true, false, 0},
    {"HTTP/1.1 200 \r\nContent-Length:0\r\n\r\nHTTP/1.1", 200, "", true, false, 8},
    {"HTTP/1.1 200 OK\r\ncontent-length: \t 2 \t\r\ncontent-LENGTH: 2, 2\r\n\r\nab", 200, "ab",
     true, false, 0},
    {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na", 200, "a", false,
     false, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", false, false, 0},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", 200, "a", true,
     false, 0},
    {"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nnot here", 404, "not here", false, true, 0},
    {"HTTP/1.1 200 OK\r\n\r\n", 200, "", false, true, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello",
     true, false, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5 ; "
     "a=\"b\"\r\nhello\r\n000A;x\r\n0123456789"
     "\r\n0;last\r\nTrailer: one\r\nContent-Length: 7\r\n\r\nmore",
     200, "hello0123456789", true, false, 4},
    {"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\na\n2\nbc\n0\n\n", 200, "abc", true, false,
     0},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     200, "", false, false, 0},
    {"HTTP/1.1 204 No Content\r\n\r\nxyz", 204, "", true, false, 3},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, "", true, false, 0},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 3\r\n"
     "Connection: close\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
     201, "ok", true, false, 0},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI", 101, "", false, false, 3},
};

static const char *const REFUSED[] = {
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 Low\r\n\r\n",
    "HTTP/1.x 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5x\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
};

/* Feeds text in the pieces [0, cut), [cut, len). Returns the parser's last word. */
static int feed_cut(struct shim_http1_response *response, const char *text, size_t len, size_t cut,
                    size_t *ret_used)
{
    size_t used;
    int code = shim_http1_feed(response, text, cut, ret_used);
    if (code == 0) {
        assert_int_equal(*ret_used, cut);
        code = shim_http1_feed(response, text + cut, len - cut, &used);
        *ret_used += used;
    }
    return code;
}

static void check_answer(const struct answer *answer, size_t cut)
{
    struct shim_http1_response response;
    char body[64];
    size_t used, len = strlen(answer->text);
    shim_http1_init(&response, body, sizeof(body), false);
    int code = feed_cut(&response, answer->text, len, cut, &used);
    if (answer->until_close) {
        assert_int_equal(code, 0);
        code = shim_http1_eof(&response);
    }
    assert_int_equal(code, 1);
    assert_int_equal(used, len - answer->rest);
    assert_int_equal(response.status, answer->status);
    assert_int_equal(response.body_len, strlen(answer->body));
    assert_int_equal(response.body_total, strlen(answer->body));
    assert_memory_equal(body, answer->body, response.body_len);
    assert_int_equal(response.keep_alive, answer->keep_alive);
    assert_int_equal(shim_http1_feed(&response, "x", 1, &used), 1);
    assert_int_equal(used, 0);
    assert_int_equal(shim_http1_eof(&response), 1);
}

static void each_answer_cut_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++)
        for (size_t cut = 0; cut <= strlen(ANSWERS[i].text); cut++)
            check_answer(&ANSWERS[i], cut);
}

static void each_refused_cut_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        for (size_t cut = 0; cut <= strlen(REFUSED[i]); cut++) {
            struct shim_http1_response response;
            char body[64];
            size_t used;
            shim_http1_init(&response, body, sizeof(body), false);
            if (feed_cut(&response, REFUSED[i], strlen(REFUSED[i]), cut, &used) != -EPROTO)
                fail_msg("taken: %s", REFUSED[i]);
            assert_int_equal(shim_http1_feed(&response, "x", 1, &used), -EPROTO);
            assert_int_equal(shim_http1_eof(&response), -EPROTO);
        }
    }
}

/* The connection ends too early, at each place but the last. */
static void early_end_is_an_error(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    for (size_t cut = 0; cut < strlen(text); cut++) {
        struct shim_http1_response response;
        size_t used;
        shim_http1_init(&response, NULL, 0, false);
        assert_int_equal(shim_http1_feed(&response, text, cut, &used), 0);
        assert_int_equal(shim_http1_eof(&response), -EPROTO);
    }
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct shim_http1_response response;
    size_t used;
    const char *text = "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nrest";
    shim_http1_init(&response, NULL, 0, true);
    assert_int_equal(shim_http1_feed(&response, text, strlen(text), &used), 1);
    assert_int_equal(used, strlen(text) - 4);
    assert_int_equal(response.content_length, 5);
}

static void fields_are_kept(void **state)
{
    (void)state;
    struct shim_http1_response response;
    size_t used;
    const char *text =
        "HTTP/1.1 503 Busy\r\nRETRY-AFTER:  120\t\r\nContent-type: application/x-protobuf\r\n"
        "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n";
    shim_http1_init(&response, NULL, 0, false);
    assert_int_equal(shim_http1_feed(&response, text, strlen(text), &used), 1);
    assert_string_equal(response.retry_after, "120");
    assert_string_equal(response.content_type, "application/x-protobuf");
    assert_string_equal(response.content_encoding, "gzip");
}

static void body_over_cap_is_counted(void **state)
{
    (void)state;
    struct shim_http1_response response;
    char body[3] = "___";
    size_t used;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef";
    shim_http1_init(&response, body, 2, false);
    assert_int_equal(shim_http1_feed(&response, text, strlen(text), &used), 1);
    assert_int_equal(response.body_len, 2);
    assert_int_equal(response.body_total, 6);
    assert_memory_equal(body, "ab_", 3);
}

/* A line longer than the parser keeps is fine as long as nothing hangs on it. */
static void long_lines(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
    } cases[] = {{"Set-Cookie", 1}, {"Content-Length", -EPROTO}, {"Transfer-Encoding", -EPROTO}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shim_http1_response response;
        size_t used, len = 0;
        char text[6000];
        len += (size_t)sprintf(text, "HTTP/1.1 204 OK\r\n%s:", cases[i].name);
        memset(text + len, ' ', 4000);
        len += 4000;
        len += (size_t)sprintf(text + len, "1\r\n\r\n");
        shim_http1_init(&response, NULL, 0, false);
        assert_int_equal(shim_http1_feed(&response, text, len, &used), cases[i].code);
    }
}

static void endless_heads_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"A: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n"};
    static const char *const starts[] = {"HTTP/1.1 200 OK\r\n", ""};
    for (size_t i = 0; i < 2; i++) {
        struct shim_http1_response response;
        size_t used, total = strlen(starts[i]);
        shim_http1_init(&response, NULL, 0, false);
        int code = shim_http1_feed(&response, starts[i], total, &used);
        while (code == 0 && total < 2 * SHIM_HTTP1_HEAD_MAX) {
            code = shim_http1_feed(&response, lines[i], strlen(lines[i]), &used);
            total += used;
        }
        assert_int_equal(code, -EPROTO);
        assert_int_equal(total, SHIM_HTTP1_HEAD_MAX + 1);
    }
}

static void nul_is_refused(void **state)
{
    (void)state;
    struct shim_http1_response response;
    size_t used;
    static const char text[] = "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n";
    shim_http1_init(&response, NULL, 0, false);
    assert_int_equal(shim_http1_feed(&response, text, sizeof(text) - 1, &used), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_cut_everywhere),
        cmocka_unit_test(each_refused_cut_everywhere),
        cmocka_unit_test(early_end_is_an_error),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(fields_are_kept),
        cmocka_unit_test(body_over_cap_is_counted),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(endless_heads_are_refused),
        cmocka_unit_test(nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
