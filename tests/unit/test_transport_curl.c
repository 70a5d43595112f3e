/* The libcurl transport against a real HTTPS server (https_server.py, whose path is the one
 * argument) with throw-away certificates, and against an HTTP proxy. Skipped where there is no
 * openssl or python3. */
#include "export/exporter.h"
#include "export/transport.h"

#include "base/clock.h"
#include "http_server.h"
#include "test_cmocka.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A handle whose descriptor was taken is left behind on purpose
 * (a_stolen_descriptor_is_left_alone). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcurl.so\nleak:libssl.so\nleak:libcrypto.so\n";
}

static _Atomic uint32_t phase;
static const char *server_script;
static char directory[] = "/tmp/otelshim-test-XXXXXX";
static char certificate[64], key[64];

struct rig {
    pid_t pid;
    int to_server;
    FILE *from_server;
    unsigned port;
    struct shim_transport *transport;
    struct shim_config config;
    char endpoint[128];
    struct shim_post_result result;
    char line[256];
};

static void server_start(struct rig *rig, const char *client_ca)
{
    int in[2], out[2];
    memset(rig, 0, sizeof(*rig));
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    rig->pid = fork();
    assert_true(rig->pid >= 0);
    if (rig->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execlp("python3", "python3", server_script, certificate, key, client_ca, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    rig->to_server = in[1];
    rig->from_server = fdopen(out[0], "r");
    assert_non_null(fgets(rig->line, sizeof(rig->line), rig->from_server));
    rig->port = (unsigned)strtoul(rig->line, NULL, 10);
    assert_true(rig->port > 0);
}

static void server_stop(struct rig *rig)
{
    int status;
    close(rig->to_server);
    fclose(rig->from_server);
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
}

static void transport_start(struct rig *rig, const char *path)
{
    char message[256];
    if (rig->endpoint[0] == '\0')
        snprintf(rig->endpoint, sizeof(rig->endpoint), "https://127.0.0.1:%u%s", rig->port, path);
    rig->config.otlp_endpoint = rig->endpoint;
    const char **texts[] = {&rig->config.otlp_headers, &rig->config.otlp_certificate,
                            &rig->config.otlp_client_key, &rig->config.otlp_client_certificate};
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!*texts[i])
            *texts[i] = "";
    rig->transport = shim_transport_curl_new(&rig->config, &phase, message);
    if (!rig->transport)
        fail_msg("%s", message);
    assert_string_equal(message, "");
}

static void rig_start(struct rig *rig, const char *path)
{
    server_start(rig, "-");
    rig->config.otlp_certificate = certificate;
    transport_start(rig, path);
}

static void rig_stop(struct rig *rig)
{
    rig->transport->free(rig->transport);
    server_stop(rig);
}

static enum shim_post_outcome post_for(struct rig *rig, const struct iovec *body, unsigned count,
                                       uint64_t limit_ms)
{
    struct shim_post post = {
        .body = body,
        .body_count = count,
        .content_type = "application/x-protobuf",
        .content_encoding = "gzip",
        .deadline_ns = limit_ms ? shim_clock_now() + limit_ms * 1000000 : UINT64_MAX,
    };
    for (unsigned i = 0; i < count; i++)
        post.body_len += body[i].iov_len;
    rig->transport->post(rig->transport, &post, &rig->result);
    assert_int_equal(phase, SHIM_EXPORT_IDLE);
    return rig->result.outcome;
}

static enum shim_post_outcome post(struct rig *rig)
{
    static const struct iovec body[] = {{(char *)"ab", 2}, {(char *)"", 0}, {(char *)"c", 1}};
    return post_for(rig, body, COUNT(body), 0);
}

static void check_seen(struct rig *rig, const char *expected)
{
    assert_non_null(fgets(rig->line, sizeof(rig->line), rig->from_server));
    rig->line[strcspn(rig->line, "\n")] = '\0';
    assert_string_equal(rig->line, expected);
}

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
    struct rig rig;
    rig_start(&rig, "/v1/traces");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
        assert_int_equal(rig.result.status, 200);
        assert_int_equal(rig.result.body_len, 0);
        check_seen(&rig, "1 POST /v1/traces 3 294 gzip -");
    }
    int fd = find_connection(rig.port);
    assert_true(fd >= 48);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    rig_stop(&rig);
}

static void sends_large_bodies(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    static char memory[SIZE];
    struct iovec body[3] = {{memory, 70000}, {memory + 70000, 1}, {memory + 70001, SIZE - 70001}};
    struct rig rig;
    char expected[128];
    unsigned sum = 0;
    for (unsigned i = 0; i < SIZE; i++) {
        memory[i] = (char)(i % 251);
        sum += i % 251;
    }
    rig_start(&rig, "/v1/traces");
    snprintf(expected, sizeof(expected), "1 POST /v1/traces %u %u gzip -", SIZE, sum);
    assert_int_equal(post_for(&rig, body, 3, 0), SHIM_POST_ANSWERED);
    check_seen(&rig, expected);
    rig_stop(&rig);
}

static void sends_credentials(void **state)
{
    (void)state;
    struct rig rig;
    server_start(&rig, "-");
    rig.config.otlp_certificate = certificate;
    rig.config.otlp_headers = "empty=,Authorization=Bearer%20abc";
    snprintf(rig.endpoint, sizeof(rig.endpoint), "https://user:word@127.0.0.1:%u/v1/traces",
             rig.port);
    transport_start(&rig, "");
    assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
    check_seen(&rig, "1 POST /v1/traces 3 294 gzip Bearer abc");
    rig_stop(&rig);
}

static void answers(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        size_t len;
        char last;
        const char *retry_after;
        const char *content_type;
    } cases[] = {{"/busy", 503, 5, 'r', "7", ""},
                 {"/huge", 400, SHIM_POST_BODY_MAX, 'x', "", ""},
                 {"/bomb", 200, SHIM_POST_BODY_MAX, 'y', "", ""},
                 {"/packed", 200, 5, 'o', "", "text/packed"},
                 {"/garbage", 200, 0, 0, "", ""}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig;
        rig_start(&rig, cases[i].path);
        assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
        assert_int_equal(rig.result.status, cases[i].status);
        assert_int_equal(rig.result.body_len, cases[i].len);
        if (cases[i].len > 0)
            assert_int_equal(rig.result.body[cases[i].len - 1], cases[i].last);
        assert_string_equal(rig.result.retry_after, cases[i].retry_after);
        assert_string_equal(rig.result.content_type, cases[i].content_type);
        rig_stop(&rig);
    }
}

static void an_unknown_authority(void **state)
{
    (void)state;
    struct rig rig;
    server_start(&rig, "-");
    transport_start(&rig, "/v1/traces");
    assert_int_equal(post(&rig), SHIM_POST_UNREACHABLE);
    assert_non_null(strstr(rig.result.message, "certificate"));
    rig_stop(&rig);
}

static void a_client_certificate(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        struct rig rig;
        server_start(&rig, certificate);
        rig.config.otlp_certificate = certificate;
        rig.config.otlp_client_certificate = with ? certificate : "";
        rig.config.otlp_client_key = with ? key : "";
        transport_start(&rig, "/v1/traces");
        if (with)
            assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
        else
            assert_int_not_equal(post(&rig), SHIM_POST_ANSWERED);
        rig_stop(&rig);
    }
}

/* On a connection that exists: its making has no part in the time. */
static void no_answer_in_time(void **state)
{
    (void)state;
    struct rig rig;
    struct iovec body = {(char *)"x", 1};
    rig_start(&rig, "/hang-on-second");
    assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
    assert_int_equal(post_for(&rig, &body, 1, 500), SHIM_POST_TIMEOUT);
    rig_stop(&rig);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "/v1/traces");
    server_stop(&rig);
    assert_int_equal(post(&rig), SHIM_POST_UNREACHABLE);
    assert_non_null(strstr(rig.result.message, "connect"));
    rig.transport->free(rig.transport);
}

/* libcurl must not say good-bye on a descriptor that the host has put in our place: its handle is
 * given up, which is no leak to tell of. */
static void a_stolen_descriptor_is_left_alone(void **state)
{
    (void)state;
    struct rig rig;
    char byte;
    int pair[2];
#ifdef __SANITIZE_ADDRESS__
    __lsan_disable();
#endif
    rig_start(&rig, "/v1/traces");
    assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
    check_seen(&rig, "1 POST /v1/traces 3 294 gzip -");
    int number = find_connection(rig.port);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], number), number);
    assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
    check_seen(&rig, "2 POST /v1/traces 3 294 gzip -");
    rig_stop(&rig);
    assert_true(fcntl(number, F_GETFD) >= 0);
    assert_int_equal(recv(pair[1], &byte, 1, 0), -1);
    close(number);
    close(pair[0]);
    close(pair[1]);
#ifdef __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
}

static void through_a_proxy(void **state)
{
    (void)state;
    static const struct http_step steps[] = {
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}};
    struct http_server *proxy = http_server_start(steps, COUNT(steps));
    struct rig rig = {0};
    char variable[64];
    snprintf(variable, sizeof(variable), "http://127.0.0.1:%u", http_server_port(proxy));
    setenv("http_proxy", variable, 1);
    snprintf(rig.endpoint, sizeof(rig.endpoint), "http://collector.invalid:4318/v1/traces");
    transport_start(&rig, "");
    assert_int_equal(post(&rig), SHIM_POST_ANSWERED);
    assert_int_equal(rig.result.body_len, 2);
    rig.transport->free(rig.transport);
    unsetenv("http_proxy");
    http_server_stop(proxy);
    const struct http_request *request = http_server_request(proxy, 0);
    assert_ptr_equal(
        strstr(request->head, "POST http://collector.invalid:4318/v1/traces HTTP/1.1\r\n"),
        request->head);
    assert_memory_equal(request->body, "abc", 3);
    http_server_free(proxy);
}

static void run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                            "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_connection),
        cmocka_unit_test(sends_large_bodies),
        cmocka_unit_test(sends_credentials),
        cmocka_unit_test(answers),
        cmocka_unit_test(an_unknown_authority),
        cmocka_unit_test(a_client_certificate),
        cmocka_unit_test(no_answer_in_time),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_stolen_descriptor_is_left_alone),
        cmocka_unit_test(through_a_proxy),
    };
    char command[512];
    if (argc != 2) {
        fprintf(stderr, "usage: %s HTTPS_SERVER_PY\n", argv[0]);
        return 1;
    }
    server_script = argv[1];
    if (system("command -v openssl python3 >/dev/null") != 0) {
        fprintf(stderr, "skipped: no openssl or no python3 here to make an HTTPS server with\n");
        return 77;
    }
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    if (!mkdtemp(directory))
        return 1;
    snprintf(certificate, sizeof(certificate), "%s/cert.pem", directory);
    snprintf(key, sizeof(key), "%s/key.pem", directory);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=otelshim-test -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
             "2>/dev/null",
             key, certificate);
    run(command);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(certificate);
    unlink(key);
    rmdir(directory);
    return failed;
}
