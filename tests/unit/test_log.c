/* Where messages go, and that they are one line each (base/log.h). */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/otelshim-test-log-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/log", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void read_file(const char *name, char *text, size_t size)
{
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    if (fd >= 0)
        close(fd);
}

/* What goes to stderr while `say` runs. */
static void capture_stderr(void (*say)(void), char *text, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    say();
    dup2(saved, STDERR_FILENO);
    ssize_t n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

static void say_three(void)
{
    shim_log(SHIM_LOG_ERROR, "one %d", 1);
    shim_log(SHIM_LOG_INFO, "two\nlines\x1b");
    shim_log(SHIM_LOG_DEBUG, "three");
}

static void say_always(void)
{
    shim_log_always("%s", "unreadable");
}

static void test_stderr(void **state)
{
    char text[512], wanted[512];
    int pid = (int)getpid();
    (void)state;
    shim_log_init("stderr", SHIM_LOG_INFO);
    capture_stderr(say_three, text, sizeof(text));
    snprintf(wanted, sizeof(wanted),
             "otelshim: [%d] error: one 1\notelshim: [%d] info: two lines \n", pid, pid);
    assert_string_equal(text, wanted);
    assert_true(shim_log_enabled(SHIM_LOG_WARN));
    assert_false(shim_log_enabled(SHIM_LOG_DEBUG));
    assert_false(shim_log_enabled(SHIM_LOG_NONE));
}

static void test_nowhere(void **state)
{
    char text[512], wanted[512];
    (void)state;
    shim_log_init(NULL, SHIM_LOG_DEBUG);
    capture_stderr(say_three, text, sizeof(text));
    assert_string_equal(text, "");
    shim_log_init("", SHIM_LOG_DEBUG);
    capture_stderr(say_three, text, sizeof(text));
    assert_string_equal(text, "");
    assert_false(shim_log_enabled(SHIM_LOG_ERROR));
    shim_log_init("stderr", SHIM_LOG_NONE);
    capture_stderr(say_three, text, sizeof(text));
    assert_string_equal(text, "");
    capture_stderr(say_always, text, sizeof(text));
    snprintf(wanted, sizeof(wanted), "otelshim: [%d] warning: unreadable\n", (int)getpid());
    assert_string_equal(text, wanted);
}

static void test_file(void **state)
{
    char text[512], wanted[512];
    struct stat status;
    (void)state;
    int lowest = dup(STDOUT_FILENO);
    close(lowest);
    mode_t before = umask(0);
    shim_log_init(path, SHIM_LOG_WARN);
    assert_int_equal(access(path, F_OK), -1);
    errno = 1234;
    shim_log(SHIM_LOG_WARN, "first");
    shim_log(SHIM_LOG_INFO, "left out");
    shim_log(SHIM_LOG_ERROR, "second");
    assert_int_equal(errno, 1234);
    umask(before);
    read_file(path, text, sizeof(text));
    snprintf(wanted, sizeof(wanted),
             "otelshim: [%d] warning: first\notelshim: [%d] error: second\n", (int)getpid(),
             (int)getpid());
    assert_string_equal(text, wanted);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    int fd = dup(STDOUT_FILENO);
    assert_int_equal(fd, lowest); /* no descriptor of ours is left */
    close(fd);
    unlink(path);
}

/* A link in a directory that others can write to could point anywhere. */
static void test_file_follows_no_link(void **state)
{
    char target[80], text[16];
    (void)state;
    snprintf(target, sizeof(target), "%s/target", directory);
    int fd = open(target, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(target, path), 0);
    shim_log_init(path, SHIM_LOG_DEBUG);
    shim_log(SHIM_LOG_ERROR, "through a link");
    read_file(target, text, sizeof(text));
    assert_string_equal(text, "");
    unlink(path);
    unlink(target);
}

static void test_file_that_nobody_reads(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    shim_log_init(path, SHIM_LOG_DEBUG);
    errno = 7;
    shim_log(SHIM_LOG_ERROR, "into the void"); /* must return */
    assert_int_equal(errno, 7);
    unlink(path);
}

static void test_long_message(void **state)
{
    char message[5000], text[4096];
    (void)state;
    memset(message, 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    shim_log_init(path, SHIM_LOG_DEBUG);
    shim_log(SHIM_LOG_ERROR, "%s", message);
    read_file(path, text, sizeof(text));
    size_t len = strlen(text);
    assert_true(len > 1000 && len < 1200);
    assert_true(strchr(text, '\n') == text + len - 1);
    unlink(path);
}

static void test_syslog(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char text[256], wanted[256];
    (void)state;
    int daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (bind(daemon, (struct sockaddr *)&address, sizeof(address)) < 0) {
        print_message("SKIP: /dev/log cannot be had: %s\n", strerror(errno));
        close(daemon);
        skip();
    }
    shim_log_init("syslog", SHIM_LOG_DEBUG);
    shim_log(SHIM_LOG_WARN, "to the %s", "daemon");
    ssize_t n = recv(daemon, text, sizeof(text) - 1, 0);
    unlink(address.sun_path);
    close(daemon);
    assert_true(n > 0);
    text[n] = '\0';
    snprintf(wanted, sizeof(wanted), "<12>otelshim[%d]: to the daemon", (int)getpid());
    assert_string_equal(text, wanted);
    errno = 7;
    shim_log(SHIM_LOG_WARN, "to nobody");
    assert_int_equal(errno, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stderr),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_follows_no_link),
        cmocka_unit_test(test_file_that_nobody_reads),
        cmocka_unit_test(test_long_message),
        cmocka_unit_test(test_syslog),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
