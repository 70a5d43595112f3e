/* The file exporter: what it creates, refuses and rotates, several processes on one path, disks
 * that are full, and hosts that close descriptors. */
#include "export/sink.h"
#include "record_build.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    char path[100];
    struct shim_config config;
    struct shim_resource resource;
    struct shim_counters counters;
    struct shim_sink_environment environment;
    char message[256];
    struct shim_sink *sink;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->directory, "/tmp/otelshim-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/traces.jsonl", f->directory);
    f->config.file_path = f->path;
    f->config.file_max_count = 3;
    f->resource.count = 1;
    f->resource.attribute[0] = (struct shim_resource_attribute){"service.name", "shop", 0, 0};
    f->environment.config = &f->config;
    f->environment.resource = &f->resource;
    f->environment.counters = &f->counters;
    f->sink = shim_sink_file_new(&f->environment, f->message);
    assert_non_null(f->sink);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[100];

    if (f->sink)
        f->sink->free(f->sink);
    snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct shim_sink_result send_named(struct fixture *f, const char *name, unsigned count)
{
    struct records records = {0};
    struct shim_sink_result result;
    struct shim_batch batch;
    struct span_spec spec = {.trace = 1, .id = 2, .name = name, .kind = 1};

    for (unsigned i = 0; i < count; i++)
        records_add_spec(&records, &spec);
    batch = records_batch(&records);
    f->sink->send(f->sink, &batch, &result);
    records_fini(&records);
    assert_int_equal(result.exported + result.rejected + result.dropped, count);
    return result;
}

static void assert_sent(struct fixture *f, const char *name)
{
    struct shim_sink_result result = send_named(f, name, 1);

    assert_string_equal(result.message, "");
    assert_int_equal(result.exported, 1);
}

static void assert_dropped(struct fixture *f, const char *why)
{
    struct shim_sink_result result = send_named(f, "lost", 2);

    assert_int_equal(result.dropped, 2);
    assert_int_equal(result.drop_reason, SHIM_COUNTER_DROPPED_IO);
    assert_non_null(strstr(result.message, why));
    result = send_named(f, "lost", 1); /* said once */
    assert_int_equal(result.dropped, 1);
    assert_string_equal(result.message, "");
}

/* The caller frees it. */
static char *contents(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text;
    long size;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

/* Steps through the lines, each of which must be whole. */
static char *next_line(char **rest)
{
    char *line = *rest;
    char *end = strchr(line, '\n');

    if (line[0] == '\0')
        return NULL;
    assert_non_null(end);
    *end = '\0';
    *rest = end + 1;
    assert_int_equal(strncmp(line, "{\"resourceSpans\":[{", 19), 0);
    assert_true(end - line > 4 && strcmp(end - 3, "}]}") == 0);
    return line;
}

static unsigned occurrences(const char *text, const char *what)
{
    unsigned count = 0;

    while ((text = strstr(text, what))) {
        count++;
        text += strlen(what);
    }
    return count;
}

static void assert_file_holds(const char *path, const char *what, unsigned count)
{
    char *text = contents(path);

    assert_int_equal(occurrences(text, what), count);
    free(text);
}

static void test_path_is_needed(void **state)
{
    struct fixture *f = *state;

    f->config.file_path = "";
    assert_null(shim_sink_file_new(&f->environment, f->message));
    assert_non_null(strstr(f->message, "OTELSHIM_FILE"));
}

static void test_one_line_per_batch(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char *text;
    char *rest;

    umask(0);
    assert_int_equal(access(f->path, F_OK), -1); /* nothing before the first batch */
    assert_int_equal(send_named(f, "first", 3).exported, 3);
    assert_sent(f, "second");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    rest = text = contents(f->path);
    assert_int_equal(occurrences(next_line(&rest), "\"name\":\"first\""), 3);
    assert_int_equal(occurrences(next_line(&rest), "\"name\":\"second\""), 1);
    assert_null(next_line(&rest));
    free(text);
}

static void test_relative_path_survives_chdir(void **state)
{
    struct fixture *f = *state;
    char before[256];

    assert_non_null(getcwd(before, sizeof(before)));
    f->sink->free(f->sink);
    assert_int_equal(chdir(f->directory), 0);
    f->config.file_path = "traces.jsonl";
    f->sink = shim_sink_file_new(&f->environment, f->message);
    assert_non_null(f->sink);
    assert_int_equal(chdir("/"), 0);
    assert_sent(f, "here");
    assert_file_holds(f->path, "\"here\"", 1);
    assert_int_equal(chdir(before), 0);
}

/* Receivers take lines of at most 1 MiB. */
static void test_large_batch_is_several_lines(void **state)
{
    struct fixture *f = *state;
    char *name = malloc(20001);
    char *text;
    char *rest;
    char *line;
    unsigned spans = 0;
    unsigned lines = 0;

    assert_non_null(name);
    memset(name, '\x02', 20000); /* \u0002 in JSON */
    name[20000] = '\0';
    assert_int_equal(send_named(f, name, 100).exported, 100);
    rest = text = contents(f->path);
    while ((line = next_line(&rest))) {
        assert_true(strlen(line) < (1 << 19) + 130000); /* half of it, and one span */
        spans += occurrences(line, "\"traceId\"");
        lines++;
    }
    assert_int_equal(spans, 100);
    assert_true(lines > 10);
    free(text);
    free(name);
}

static void test_span_larger_than_any_line_is_dropped(void **state)
{
    struct fixture *f = *state;
    char *name = malloc(200001);
    struct shim_sink_result result;

    assert_non_null(name);
    memset(name, '\x02', 200000);
    name[200000] = '\0';
    result = send_named(f, name, 1);
    assert_int_equal(result.dropped, 1);
    assert_sent(f, "small");
    assert_file_holds(f->path, "\"traceId\"", 1);
    free(name);
}

static void test_rotation_keeps_so_many(void **state)
{
    struct fixture *f = *state;
    char path[120];
    char name[16];
    off_t size;
    struct stat st;

    assert_sent(f, "n0");
    assert_int_equal(stat(f->path, &st), 0);
    size = st.st_size;
    f->config.file_max_size = (uint64_t)size * 2; /* two lines a file */
    for (int i = 1; i < 10; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_sent(f, name);
    }
    assert_file_holds(f->path, "\"n9\"", 1);
    assert_file_holds(f->path, "\"n8\"", 1);
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof(path), "%s.%d", f->path, i);
        snprintf(name, sizeof(name), "\"n%d\"", 9 - 2 * i);
        assert_file_holds(path, name, 1);
        assert_file_holds(path, "\"traceId\"", 2);
    }
    snprintf(path, sizeof(path), "%s.4", f->path);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_rotation_that_keeps_none(void **state)
{
    struct fixture *f = *state;
    char path[120];

    f->config.file_max_size = 1;
    f->config.file_max_count = 0;
    assert_sent(f, "a");
    assert_sent(f, "b");
    assert_file_holds(f->path, "\"b\"", 1);
    assert_file_holds(f->path, "\"traceId\"", 1);
    snprintf(path, sizeof(path), "%s.1", f->path);
    assert_int_equal(access(path, F_OK), -1);
}

/* A rotation that cannot be done must not become a file without bounds. */
static void test_rotation_that_fails(void **state)
{
    struct fixture *f = *state;
    char path[120];

    assert_sent(f, "a");
    snprintf(path, sizeof(path), "%s.1", f->path);
    assert_int_equal(mkdir(path, 0700), 0);
    f->config.file_max_size = 1;
    f->config.file_max_count = 1;
    assert_dropped(f, "Is a directory");
    assert_int_equal(rmdir(path), 0);
    assert_sent(f, "b");
    assert_file_holds(f->path, "\"b\"", 1);
    assert_file_holds(path, "\"a\"", 1);
}

enum { WRITERS = 4, LINES = 500 };

static void write_many(struct fixture *f, int writer)
{
    char name[32];

    f->sink = shim_sink_file_new(&f->environment, f->message);
    for (int i = 0; f->sink && i < LINES; i++) {
        snprintf(name, sizeof(name), "w%d-%d.", writer, i);
        if (send_named(f, name, 1).exported != 1)
            _exit(1);
    }
    _exit(f->sink ? 0 : 1);
}

/* Every line is there once and whole, over all files, while all rotate as fast as they can. */
static void test_several_processes(void **state)
{
    static uint8_t seen[WRITERS][LINES];
    struct fixture *f = *state;
    pid_t child[WRITERS];
    char path[120];
    unsigned total = 0;

    f->config.file_max_size = 4000;
    f->config.file_max_count = 5000;
    for (int w = 0; w < WRITERS; w++) {
        child[w] = fork();
        assert_true(child[w] >= 0);
        if (child[w] == 0)
            write_many(f, w);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(child[w], &status, 0), child[w]);
        assert_int_equal(status, 0);
    }
    for (unsigned number = 0;; number++) {
        char *text;
        char *rest;
        char *line;

        if (number == 0)
            strcpy(path, f->path);
        else
            snprintf(path, sizeof(path), "%s.%u", f->path, number);
        if (number > 0 && access(path, F_OK) < 0) {
            assert_true(number > 50);
            break;
        }
        rest = text = contents(path);
        while ((line = next_line(&rest))) {
            int writer;
            int index;
            char *name = strstr(line, "\"name\":\"w");
            assert_non_null(name);
            assert_int_equal(sscanf(name, "\"name\":\"w%d-%d.", &writer, &index), 2);
            assert_int_equal(seen[writer][index]++, 0);
            total++;
        }
        free(text);
    }
    assert_int_equal(total, WRITERS * LINES);
}

static void test_torn_line_is_ended(void **state)
{
    struct fixture *f = *state;
    FILE *file;
    char *text;

    assert_sent(f, "a");
    file = fopen(f->path, "a");
    assert_non_null(file);
    fputs("{\"resourceSpans\":[", file);
    fclose(file);
    assert_sent(f, "b");
    assert_sent(f, "c");
    text = contents(f->path);
    assert_non_null(strstr(text, "}\n{\"resourceSpans\":[\n{\"resourceSpans\":[{"));
    assert_null(strstr(text, "\n\n"));
    assert_int_equal(occurrences(text, "\n"), 4);
    free(text);
}

static void test_device_without_room(void **state)
{
    struct fixture *f = *state;

    f->sink->free(f->sink);
    f->config.file_path = "/dev/full";
    f->sink = shim_sink_file_new(&f->environment, f->message);
    assert_non_null(f->sink);
    assert_dropped(f, "No space left on device");
}

/* Half a line gets onto the disk; what comes once there is room again begins on a line of its own.
 */
static void test_file_size_limit(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    struct rlimit small;
    struct stat st;
    char *text;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

    assert_sent(f, "a");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = (rlim_t)st.st_size + 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(send_named(f, "lost", 1).dropped, 1);
    assert_int_equal(send_named(f, "lost", 1).dropped, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_sent(f, "b");
    text = contents(f->path);
    assert_non_null(
        strstr(text, "}]}\n{\"resourceSpans\":[{\"\n{\"resourceSpans\":[{\"resource\":"));
    assert_non_null(strstr(text, "\"name\":\"b\""));
    free(text);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    char *name = malloc(30001);
    char moved[120];
    struct shim_sink_result result;
    unsigned sent = 0;

    assert_non_null(name);
    if (mount("none", f->directory, "tmpfs", 0, "size=64k,mode=700") < 0) {
        free(name);
        assert_true(errno == EPERM || errno == EACCES);
        skip(); /* mounting is not allowed here */
    }
    memset(name, 'x', 30000);
    name[30000] = '\0';
    do
        result = send_named(f, name, 1);
    while (result.exported == 1 && ++sent < 10);
    assert_int_equal(sent, 2);
    assert_int_equal(result.dropped, 1);
    assert_non_null(strstr(result.message, "No space left on device"));
    snprintf(moved, sizeof(moved), "%s.old", f->path);
    assert_int_equal(rename(f->path, moved), 0);
    assert_int_equal(unlink(moved), 0);
    f->sink->free(f->sink); /* the space is free once nobody has the file open */
    f->sink = shim_sink_file_new(&f->environment, f->message);
    assert_non_null(f->sink);
    assert_sent(f, "again");
    f->sink->free(f->sink);
    f->sink = NULL;
    assert_int_equal(umount(f->directory), 0);
    free(name);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    char other[100];
    FILE *file;

    snprintf(other, sizeof(other), "%s/other", f->directory);
    file = fopen(other, "w");
    assert_non_null(file);
    fclose(file);

    assert_int_equal(symlink(other, f->path), 0);
    assert_dropped(f, "symbolic links");
    assert_int_equal(unlink(f->path), 0);

    assert_int_equal(link(other, f->path), 0);
    assert_dropped(f, "hard links");
    assert_int_equal(unlink(f->path), 0);

    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_dropped(f, "neither a file");
    assert_int_equal(unlink(f->path), 0);

    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_dropped(f, "Is a directory");
    assert_int_equal(rmdir(f->path), 0);

    assert_file_holds(other, "traceId", 0);
    assert_sent(f, "at last");
}

static void test_file_of_another_user(void **state)
{
    struct fixture *f = *state;
    int fd = open(f->path, O_WRONLY | O_CREAT, 0666);

    assert_true(fd >= 0);
    close(fd);
    if (chown(f->path, geteuid() + 1, (gid_t)-1) < 0)
        skip(); /* only root can give files away */
    assert_dropped(f, "another user");
}

static void test_directory_that_is_not_there(void **state)
{
    struct fixture *f = *state;

    f->sink->free(f->sink);
    f->config.file_path = "/tmp/otelshim-no-such-directory/a.jsonl";
    f->sink = shim_sink_file_new(&f->environment, f->message);
    assert_non_null(f->sink);
    assert_dropped(f, "No such file or directory");
}

/* As logrotate does it. */
static void test_file_moved_away(void **state)
{
    struct fixture *f = *state;
    char moved[120];

    assert_sent(f, "a");
    snprintf(moved, sizeof(moved), "%s.moved", f->path);
    assert_int_equal(rename(f->path, moved), 0);
    assert_sent(f, "b");
    assert_file_holds(moved, "\"traceId\"", 1);
    assert_file_holds(f->path, "\"b\"", 1);
    assert_int_equal(unlink(f->path), 0);
    assert_sent(f, "c");
    assert_file_holds(f->path, "\"traceId\"", 1);
}

/* The host closes everything it does not know and gets our number for a file of its own. */
static void test_host_takes_our_descriptor(void **state)
{
    struct fixture *f = *state;
    char host[100];
    struct stat ours;
    struct stat st;
    int number = -1;
    int fd;

    assert_sent(f, "a");
    assert_int_equal(stat(f->path, &ours), 0);
    for (int i = 3; i < 65536 && number < 0; i++) {
        if (fstat(i, &st) == 0 && st.st_ino == ours.st_ino && st.st_dev == ours.st_dev)
            number = i;
    }
    assert_true(number > 2);
    assert_true(fcntl(number, F_GETFD) & FD_CLOEXEC);
    snprintf(host, sizeof(host), "%s/host", f->directory);
    fd = open(host, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, number), number);
    assert_sent(f, "b");
    f->sink->free(f->sink);
    f->sink = NULL;
    assert_int_equal(fstat(number, &st), 0); /* not closed by us */
    assert_int_equal(st.st_size, 0);         /* nor written to */
    assert_file_holds(f->path, "\"traceId\"", 2);
    close(number);
    close(fd);
}

static void test_broken_records_are_counted(void **state)
{
    struct fixture *f = *state;
    struct records records = {0};
    struct span_spec spec = {.trace = 1, .id = 2, .name = "good", .kind = 1};
    struct shim_sink_result result;
    struct shim_batch batch;

    records_add_spec(&records, &spec);
    records_add_spec(&records, &spec);
    memset(records.data + records.len / 2 + 4, 0xff, 4);
    batch = records_batch(&records);
    f->sink->send(f->sink, &batch, &result);
    assert_int_equal(result.exported, 1);
    assert_int_equal(result.dropped, 1);
    assert_int_equal(result.drop_reason, SHIM_COUNTER_DROPPED_IO);
    assert_file_holds(f->path, "\"good\"", 1);
    records_fini(&records);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_path_is_needed),
        TEST(test_one_line_per_batch),
        TEST(test_relative_path_survives_chdir),
        TEST(test_large_batch_is_several_lines),
        TEST(test_span_larger_than_any_line_is_dropped),
        TEST(test_rotation_keeps_so_many),
        TEST(test_rotation_that_keeps_none),
        TEST(test_rotation_that_fails),
        TEST(test_several_processes),
        TEST(test_torn_line_is_ended),
        TEST(test_device_without_room),
        TEST(test_file_size_limit),
        TEST(test_full_disk),
        TEST(test_refusals),
        TEST(test_file_of_another_user),
        TEST(test_directory_that_is_not_there),
        TEST(test_file_moved_away),
        TEST(test_host_takes_our_descriptor),
        TEST(test_broken_records_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
