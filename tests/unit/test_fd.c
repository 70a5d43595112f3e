/* Descriptors of ours: where they end up, and how they are told from what took their number. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int some_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    return fd;
}

static struct rlimit set_limit(rlim_t soft)
{
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static void moves_high_with_cloexec(void **state)
{
    (void)state;
    struct rlimit before = set_limit(1024);
    struct shim_fd fd;
    int low = some_socket();
    assert_int_equal(shim_fd_take(low, &fd), 0);
    assert_in_range(fd.fd, 48, 63);
    assert_int_equal(fcntl(fd.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(low, F_GETFD), -1);
    assert_true(shim_fd_is_ours(&fd));
    int was = fd.fd;
    shim_fd_close(&fd);
    assert_int_equal(fd.fd, -1);
    assert_int_equal(fcntl(was, F_GETFD), -1);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void a_high_limit_does_not_grow_the_table(void **state)
{
    (void)state;
    struct rlimit limit;
    struct shim_fd fd;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit before = set_limit(limit.rlim_max);
    assert_int_equal(shim_fd_take(some_socket(), &fd), 0);
    assert_in_range(fd.fd, 48, 63);
    shim_fd_close(&fd);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void low_limits(void **state)
{
    (void)state;
    static const unsigned limits[] = {11, 12, 16, 64, 65, 80, 256};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rlimit before = set_limit(limits[i]);
        struct shim_fd fd;
        int code = shim_fd_take(some_socket(), &fd);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(code, 0);
        assert_in_range(fd.fd, 10, limits[i] - 1);
        shim_fd_close(&fd);
    }
}

/* Better none than a low one. */
static void stands_down_without_room(void **state)
{
    (void)state;
    struct rlimit before = set_limit(10);
    struct shim_fd fd;
    int low = some_socket();
    int code = shim_fd_take(low, &fd);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(code, -EMFILE);
    assert_int_equal(fd.fd, -1);
    assert_int_equal(fcntl(low, F_GETFD), -1);
}

/* All numbers near the top are the host's: the next lower ones are taken. */
static void a_full_top(void **state)
{
    (void)state;
    struct rlimit before = set_limit(128);
    struct shim_fd fd;
    for (int i = 48; i < 128; i++)
        assert_int_equal(dup2(STDERR_FILENO, i), i);
    int code = shim_fd_take(some_socket(), &fd);
    for (int i = 48; i < 128; i++)
        close(i);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(code, 0);
    assert_in_range(fd.fd, 24, 47);
    shim_fd_close(&fd);
}

static void a_stolen_number_is_left_alone(void **state)
{
    (void)state;
    struct shim_fd fd;
    assert_int_equal(shim_fd_take(some_socket(), &fd), 0);
    int number = fd.fd, other = some_socket();
    assert_int_equal(dup2(other, number), number);
    assert_false(shim_fd_is_ours(&fd));
    shim_fd_close(&fd);
    assert_int_equal(fd.fd, -1);
    assert_true(fcntl(number, F_GETFD) >= 0);
    close(number);
    close(other);
}

static void a_closed_number_is_not_ours(void **state)
{
    (void)state;
    struct shim_fd fd;
    assert_int_equal(shim_fd_take(some_socket(), &fd), 0);
    close(fd.fd);
    assert_false(shim_fd_is_ours(&fd));
    shim_fd_close(&fd);
    shim_fd_close(&fd);
    assert_false(shim_fd_is_ours(&fd));
}

static void no_descriptor(void **state)
{
    (void)state;
    struct shim_fd fd;
    assert_int_equal(shim_fd_take(-1, &fd), -EBADF);
    assert_int_equal(fd.fd, -1);
    assert_int_equal(shim_fd_take(9999, &fd), -EBADF);
    assert_int_equal(fd.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_high_with_cloexec),
        cmocka_unit_test(a_high_limit_does_not_grow_the_table),
        cmocka_unit_test(low_limits),
        cmocka_unit_test(stands_down_without_room),
        cmocka_unit_test(a_full_top),
        cmocka_unit_test(a_stolen_number_is_left_alone),
        cmocka_unit_test(a_closed_number_is_not_ours),
        cmocka_unit_test(no_descriptor),
    };
    /* What whoever started us left open would be in the way of the small limits. */
    closefrom(3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
