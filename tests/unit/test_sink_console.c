/* The console exporter: how a trace looks, when it is printed, and that a host's stderr which is no
 * longer one is left alone. stderr is a file, a pipe or a terminal of the test's while the sink
 * writes. */
#include "export/sink.h"
#include "record_build.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* A span without attributes. */
#define PLAIN(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__, .attributes = { NULL }                                                        \
    }

struct fixture {
    struct shim_config config;
    struct shim_resource resource;
    struct shim_counters counters;
    struct shim_sink_environment environment;
    char message[256];
    struct shim_sink *sink;
    FILE *out;
    int stderr_before;
    char text[1 << 20];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->config.memory_limit = 16 << 20;
    f->resource.count = 1;
    f->resource.attribute[0] = (struct shim_resource_attribute){"service.name", "shop", 0, 0};
    f->environment.config = &f->config;
    f->environment.resource = &f->resource;
    f->environment.counters = &f->counters;
    f->stderr_before = dup(2);
    f->out = tmpfile();
    assert_non_null(f->out);
    assert_int_equal(dup2(fileno(f->out), 2), 2);
    f->sink = shim_sink_console_new(&f->environment, f->message);
    assert_int_equal(dup2(f->stderr_before, 2), 2);
    assert_non_null(f->sink);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->sink->free(f->sink);
    fclose(f->out);
    close(f->stderr_before);
    free(f);
    return 0;
}

/* Sends (or, without specs, flushes) with stderr being `fd`. */
static struct shim_sink_result send_to(struct fixture *f, int fd, const struct span_spec *spec,
                                       unsigned count)
{
    struct records records = {0};
    struct shim_sink_result result = {0};
    struct shim_batch batch;

    for (unsigned i = 0; i < count; i++)
        records_add_spec(&records, &spec[i]);
    batch = records_batch(&records);
    fflush(stderr);
    dup2(fd, 2);
    if (count > 0)
        f->sink->send(f->sink, &batch, &result);
    else
        f->sink->flush(f->sink);
    dup2(f->stderr_before, 2);
    records_fini(&records);
    assert_int_equal(result.exported + result.rejected + result.dropped, count);
    return result;
}

/* What is printed for these spans, all of which are taken; none: for a flush. */
static const char *printed(struct fixture *f, const struct span_spec *spec, unsigned count)
{
    struct shim_sink_result result;
    ssize_t len;
    int fd = fileno(f->out);

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    result = send_to(f, fd, spec, count);
    assert_int_equal(result.exported, count);
    len = pread(fd, f->text, sizeof(f->text) - 1, 0);
    assert_true(len >= 0);
    f->text[len] = '\0';
    return f->text;
}

#define HEAD(byte)                                                                                 \
    "● shop  trace " byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte    \
        byte "  "

static void test_tree(void **state)
{
    static const struct span_spec spec[] = {
        {0xab, 4, 3, "lookup", 1, 2500, 3000, .attributes = {"key", "k1", "hits", "#3"}},
        PLAIN(0xab, 3, 1, "work", 1, 2000, 8000),
        {0xab, 5, 1, "GET", 3, 9000, 19000, .failed = true,
         .attributes = {"url.full", "http://x:8080/a?b=1", "server.address", "x",
                        "http.response.status_code", "#503", "error.type", "503"}},
        {0xab, 6, 1, "GET", 3, 19500, 19500, .failed = true,
         .attributes = {"server.address", "y", "server.port", "#81", "error.type",
                        "COULDNT_CONNECT"}},
        {0xab, 1, 9, "POST /order", 2, 0, 20000, .parent_is_remote = true,
         .attributes = {"url.path", "/order", "url.query", "q=2", "http.response.status_code",
                        "#200"}},
    };

    assert_string_equal(
        printed(*state, spec, 5),
        HEAD(
            "ab") "5 spans, 2 failed\n"
                  "      +0 ms   20.0 ms  ━━━━━━━━━━━━━━━━━━━━  POST /order server 200 /order?q=2\n"
                  "   +2.00 ms   6.00 ms    ━━━━━━              ├─ work\n"
                  "   +2.50 ms    500 µs    ╺                   │  └─ lookup key=k1 hits=3\n"
                  "   +9.00 ms   10.0 ms           ━━━━━━━━━━   ├─ GET client 503 ✗ "
                  "http://x:8080/a?b=1\n"
                  "   +19.5 ms      0 ms                     ╺  └─ GET client ✗ COULDNT_CONNECT "
                  "y:81\n"
                  "\n");
}

/* Times of all sizes; and one tree a trace, however they are mixed. */
static void test_units(void **state)
{
    static const struct span_spec spec[] = {
        PLAIN(1, 1, 0, "a", 1, 0, 1),
        PLAIN(2, 1, 0, "b", 1, 0, 1234567),
        PLAIN(3, 1, 0, "c", 1, 0, 125000000),
        PLAIN(4, 1, 0, "d", 1, 0, 93780000000),
    };
    const char *text = printed(*state, spec, 4);

    assert_non_null(strstr(text, "   1.00 µs  "));
    assert_non_null(strstr(text, "    1.23 s  "));
    assert_non_null(strstr(text, "   2m 05s  "));
    assert_non_null(strstr(text, "  26h 03m  "));
    assert_non_null(strstr(text, HEAD("01") "1 span\n"));
    assert_non_null(strstr(text, HEAD("04") "1 span\n"));
}

static void test_waits_for_the_root(void **state)
{
    static const struct span_spec child = PLAIN(1, 2, 1, "child", 1, 10, 20);
    static const struct span_spec root = PLAIN(1, 1, 0, "root", 1, 0, 30);
    static const struct span_spec late = PLAIN(1, 3, 1, "late", 1, 25, 60);

    assert_string_equal(printed(*state, &child, 1), "");
    assert_string_equal(printed(*state, &root, 1),
                        HEAD("01") "2 spans\n"
                                   "      +0 ms   30.0 µs  ━━━━━━━━━━━━━━━━━━━━  root\n"
                                   "   +10.0 µs   10.0 µs        ╺━━━━━━         └─ child\n\n");
    assert_string_equal(printed(*state, &late, 1),
                        HEAD("01") "1 span  (continued)\n"
                                   "   +25.0 µs   35.0 µs          ━━━━━━━━━━━━  late\n\n");
}

static void test_flush_prints_what_is_held(void **state)
{
    static const struct span_spec child = PLAIN(1, 2, 1, "child", 1, 10, 20);
    const char *text;

    assert_string_equal(printed(*state, &child, 1), "");
    text = printed(*state, NULL, 0);
    assert_non_null(strstr(text, "1 span  (unfinished)\n"));
    assert_non_null(strstr(text, "  child\n"));
    assert_string_equal(printed(*state, NULL, 0), "");
}

/* Spans whose root never comes are bounded by number and by bytes: the oldest trace goes first. */
static void test_bounds(void **state)
{
    struct fixture *f = *state;
    struct span_spec spec = PLAIN(1, 2, 1, "first", 1, 10, 20);
    char name[2000] = "";
    unsigned sent = 1;

    assert_string_equal(printed(f, &spec, 1), "");
    spec.trace = 2;
    spec.name = "more";
    while (printed(f, &spec, 1)[0] == '\0')
        assert_true(++sent < 5000);
    assert_int_equal(sent, 4096);
    assert_non_null(strstr(f->text, HEAD("01") "1 span  (unfinished)"));
    printed(f, NULL, 0);

    f->sink->free(f->sink);
    f->config.memory_limit = 400000;
    dup2(fileno(f->out), 2);
    f->sink = shim_sink_console_new(&f->environment, f->message);
    dup2(f->stderr_before, 2);
    memset(name, 'x', sizeof(name) - 1);
    spec.name = name;
    for (sent = 0; printed(f, &spec, 1)[0] == '\0'; sent++)
        assert_true(sent < 100);
    assert_in_range(sent, 40, 50);
}

/* Whatever is wrong with ids, each span is there once. */
static void test_broken_families(void **state)
{
    static const struct span_spec spec[] = {
        PLAIN(1, 2, 3, "circle a", 1, 0, 10),   PLAIN(1, 3, 2, "circle b", 1, 1, 10),
        PLAIN(1, 4, 4, "own parent", 1, 2, 10), PLAIN(1, 5, 99, "orphan", 1, 3, 10),
        PLAIN(1, 6, 1, "twin", 1, 4, 10),       PLAIN(1, 6, 1, "twin", 1, 5, 10),
        PLAIN(1, 7, 6, "grandchild", 1, 6, 10), PLAIN(1, 1, 0, "root", 1, 0, 10),
    };
    const char *text = printed(*state, spec, 8);
    unsigned rows = 0;

    for (const char *c = text; (c = strchr(c, '+')); c++)
        rows++;
    assert_int_equal(rows, 8);
    assert_non_null(strstr(text, "circle a\n"));
    assert_non_null(strstr(text, "└─ circle b\n"));
    assert_non_null(strstr(text, "├─ twin\n"));
    assert_non_null(strstr(text, "└─ grandchild\n"));
}

static void test_long_chain(void **state)
{
    enum { LENGTH = 200 };
    struct span_spec spec[LENGTH];
    const char *text;
    unsigned rows = 0;

    for (unsigned i = 0; i < LENGTH; i++)
        spec[i] = (struct span_spec)PLAIN(1, (uint8_t)(i + 1), (uint8_t)i, "link", 1, i, 1000);
    text = printed(*state, spec, LENGTH);
    for (const char *c = text; (c = strstr(c, "link\n")); c++)
        rows++;
    assert_int_equal(rows, LENGTH);
}

/* A trace that is larger than the buffer ends with a row that says so, and rows are whole. */
static void test_more_than_fits(void **state)
{
    enum { SPANS = 600 };
    static struct span_spec spec[SPANS];
    char name[1000] = "";
    const char *text;

    memset(name, 'n', sizeof(name) - 1);
    for (unsigned i = 0; i < SPANS; i++)
        spec[i] = (struct span_spec)PLAIN(1, 2, 1, name, 1, i, 1000);
    spec[0] = (struct span_spec)PLAIN(1, 1, 0, "root", 1, 0, 1000);
    text = printed(*state, spec, SPANS);
    assert_true(strlen(text) <= 1 << 18);
    assert_non_null(strstr(text, "n\n  … and spans that are not shown: "));
}

static void test_terminal_is_not_steered(void **state)
{
    static const struct span_spec spec = {
        1,
        1,
        0,
        "a\x1b[2J\nb",
        3,
        0,
        10,
        .failed = true,
        .attributes = {"url.full", "http://x/\xc2\x9b\xe2\x80\xae\xff\x07", "error.type", "\r\n"}};
    const char *text = printed(*state, &spec, 1);

    assert_non_null(strstr(text, "  a?[2J?b client ✗ ?? http://x/????\n\n"));
    assert_null(strchr(text, '\x1b'));
}

static void test_call_stack(void **state)
{
    static const struct span_spec spec[] = {
        PLAIN(1, 1, 0, "root", 1, 0, 10),
        {1, 2, 1, "one", 1, 0, 5,
         .attributes = {"code.stacktrace", "f+0x1 (a+0x2)\nmain+0x3 (a+0x4)"}},
        {1, 3, 1, "two", 1, 5, 10, .attributes = {"code.stacktrace", "1\n2\n3\n4\n5\n6\n7\n8"}},
    };
    const char *text = printed(*state, spec, 3);

    assert_non_null(
        strstr(text, "├─ one\n"
                     "                                             │     at f+0x1 (a+0x2)\n"
                     "                                             │     at main+0x3 (a+0x4)\n"));
    assert_non_null(
        strstr(text, "   at 6\n                                                   …\n\n"));
}

/* Reads what a terminal of so many columns got. */
static const char *on_terminal(struct fixture *f, unsigned short columns,
                               const struct span_spec *spec, unsigned count)
{
    struct winsize size = {.ws_col = columns, .ws_row = 24};
    struct termios raw;
    ssize_t len;
    int controller;
    int terminal;

    cfmakeraw(&raw);
    assert_int_equal(openpty(&controller, &terminal, NULL, &raw, &size), 0);
    assert_int_equal(send_to(f, terminal, spec, count).exported, count);
    len = read(controller, f->text, sizeof(f->text) - 1);
    assert_true(len > 0);
    f->text[len] = '\0';
    close(controller);
    close(terminal);
    return f->text;
}

static void test_terminal(void **state)
{
    static const struct span_spec spec = {
        1, 1, 0, "GET", 3, 0, 10, .attributes = {"url.full", "http://abcdefghijklmnopqrstuvwxyz/"}};
    struct fixture *f = *state;

    assert_non_null(strstr(on_terminal(f, 200, &spec, 1), "\x1b[1mGET\x1b[0m"));
    f->config.no_color = true;
    assert_null(strchr(on_terminal(f, 200, &spec, 1), '\x1b'));
    assert_non_null(strstr(f->text, "━  GET client http://abcdefghijklmnopqrstuvwxyz/\n"));
    on_terminal(f, 80, &spec, 1);
    assert_non_null(strstr(f->text, "━  GET client http://abcdefghijklmnop…\n"));
    on_terminal(f, 60, &spec, 1); /* no room for the time line */
    assert_non_null(strstr(f->text, "   10.0 µs  GET client http://abcdefghijklmnopqr…\n"));
}

static void assert_lost(struct fixture *f, int fd)
{
    static const struct span_spec spec = PLAIN(1, 1, 0, "lost", 1, 0, 10);
    struct shim_sink_result result = send_to(f, fd, &spec, 1);

    assert_int_equal(result.dropped, 1);
    assert_int_equal(result.drop_reason, SHIM_COUNTER_DROPPED_IO);
    assert_string_not_equal(result.message, "");
    result = send_to(f, fd, &spec, 1); /* said once */
    assert_int_equal(result.dropped, 1);
    assert_string_equal(result.message, "");
    printed(f, &spec, 1);
}

/* A pair of connected datagram sockets on the loopback interface. */
static void connect_pair(int *ret_near, int *ret_far)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    *ret_near = socket(AF_INET, SOCK_DGRAM, 0);
    *ret_far = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(*ret_far, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(*ret_far, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(*ret_near, (struct sockaddr *)&address, len), 0);
}

/* The host closed stderr, and the number 2 is a file or a connection of its own now. */
static void test_stderr_is_something_else(void **state)
{
    struct fixture *f = *state;
    FILE *other = tmpfile();
    struct stat st;
    int pair[2];
    int full = open("/dev/full", O_WRONLY);
    int null = open("/dev/null", O_RDONLY);
    char byte;
    int inet;
    int far;

    assert_non_null(other);
    assert_lost(f, fileno(other));
    assert_int_equal(fstat(fileno(other), &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_lost(f, full);
    assert_lost(f, null);
    connect_pair(&inet, &far);
    assert_lost(f, inet);
    assert_int_equal(recv(far, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(pipe(pair), 0);
    close(pair[0]);
    signal(SIGPIPE, SIG_IGN);
    assert_lost(f, pair[1]);
    close(pair[1]);
    assert_int_equal(fcntl(fileno(other), F_SETFL, O_APPEND), 0); /* a log of the host's */
    assert_int_equal(
        send_to(f, fileno(other), &(struct span_spec)PLAIN(1, 1, 0, "x", 1, 0, 1), 1).exported, 1);
    fclose(other);
    close(full);
    close(null);
    close(inet);
    close(far);
}

/* Spans that were taken in before are counted when they cannot be printed. */
static void test_losses_at_flush_are_counted(void **state)
{
    static const struct span_spec child = PLAIN(1, 2, 1, "child", 1, 10, 20);
    struct fixture *f = *state;
    int full = open("/dev/full", O_WRONLY);

    assert_string_equal(printed(f, &child, 1), "");
    send_to(f, full, NULL, 0);
    assert_int_equal(shim_counted(&f->counters, SHIM_COUNTER_DROPPED_IO), 1);
    close(full);
}

static void test_one_trace_is_one_write(void **state)
{
    static const struct span_spec spec[] = {PLAIN(1, 1, 0, "a", 1, 0, 1),
                                            PLAIN(2, 1, 0, "b", 1, 0, 1)};
    struct fixture *f = *state;
    int pair[2];
    char text[4096];
    ssize_t first;
    ssize_t second;

    /* Packets keep the borders of writes. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(send_to(f, pair[1], spec, 2).exported, 2);
    first = read(pair[0], text, sizeof(text));
    assert_true(first > 2 && memcmp(text + first - 2, "\n\n", 2) == 0);
    assert_non_null(memmem(text, (size_t)first, "  a\n", 4));
    second = read(pair[0], text, sizeof(text));
    assert_true(second > 2 && memcmp(text + second - 2, "\n\n", 2) == 0);
    assert_non_null(memmem(text, (size_t)second, "  b\n", 4));
    close(pair[0]);
    close(pair[1]);
}

static void test_broken_records_are_counted(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[] = {0x12, 0x82, 0x80, 0x00, 0xff, 0xff, 0x12, 0x80, 0x80, 0x00};
    struct shim_batch_piece piece = {data, sizeof(data)};
    struct shim_batch batch = {&piece, 1, sizeof(data), 2};
    struct shim_sink_result result;

    f->sink->send(f->sink, &batch, &result);
    assert_int_equal(result.exported, 0);
    assert_int_equal(result.dropped, 2);
    assert_int_equal(result.drop_reason, SHIM_COUNTER_DROPPED_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tree),
        TEST(test_units),
        TEST(test_waits_for_the_root),
        TEST(test_flush_prints_what_is_held),
        TEST(test_bounds),
        TEST(test_broken_families),
        TEST(test_long_chain),
        TEST(test_more_than_fits),
        TEST(test_terminal_is_not_steered),
        TEST(test_call_stack),
        TEST(test_terminal),
        TEST(test_stderr_is_something_else),
        TEST(test_losses_at_flush_are_counted),
        TEST(test_one_trace_is_one_write),
        TEST(test_broken_records_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
