/* The one way out for messages. See log.h. Keeps no descriptor: each line opens its target, and
 * takes it to a high number first, since the host's own threads open files meanwhile. Does not use
 * syslog(3), whose connection and ident are the host's. Must not know who speaks. Any thread. */
#include "base/log.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024

enum target { TARGET_NOWHERE, TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

static enum target log_target;
static enum shim_log_level log_level;
static char log_path[PATH_MAX];

void shim_log_init(const char *target, enum shim_log_level level)
{
    log_level = level;
    if (!target || !target[0]) {
        log_target = TARGET_NOWHERE;
    } else if (strcmp(target, "stderr") == 0) {
        log_target = TARGET_STDERR;
    } else if (strcmp(target, "syslog") == 0) {
        log_target = TARGET_SYSLOG;
    } else if (strlen(target) < sizeof(log_path)) {
        log_target = TARGET_FILE;
        strcpy(log_path, target);
    } else {
        log_target = TARGET_NOWHERE;
    }
}

bool shim_log_enabled(enum shim_log_level level)
{
    return log_target != TARGET_NOWHERE && level != SHIM_LOG_NONE && level <= log_level;
}

/* A log that cannot be written has nobody to tell: failures are dropped here on purpose. */
static void write_line(int fd, const char *line, size_t len)
{
    ssize_t n;
    do
        n = write(fd, line, len);
    while (n < 0 && errno == EINTR);
}

/* The host's stderr may be a pipe that nobody reads, or nobody has open any more: neither may hold
 * the host up or end it. */
static void write_stderr(const char *line, size_t len)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&wait, 1, 0) != 1 || !(wait.revents & POLLOUT))
        return;
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    write_line(STDERR_FILENO, line, len);
    if (!sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void write_file(const char *line, size_t len)
{
    struct shim_fd file;
    /* O_NONBLOCK: a FIFO nobody reads must not hold the host up. */
    int fd =
        open(log_path,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0 || shim_fd_take(fd, &file) < 0)
        return;
    write_line(file.fd, line, len);
    shim_fd_close(&file);
}

static void write_syslog(enum shim_log_level level, const char *message)
{
    static const int severity[] = {LOG_DEBUG, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    struct shim_fd daemon;
    char line[LINE_MAX_LEN + 64];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || shim_fd_take(fd, &daemon) < 0)
        return;
    /* RFC 3164 without its time stamp, which the daemon adds: local time takes libc's lock. */
    int len = snprintf(line, sizeof(line), "<%d>otelshim[%d]: %s", LOG_USER | severity[level],
                       (int)getpid(), message);
    if (len > (int)sizeof(line) - 1)
        len = (int)sizeof(line) - 1;
    sendto(daemon.fd, line, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&address,
           sizeof(address));
    shim_fd_close(&daemon);
}

/* Formats, and takes out what would make a second line or steer a terminal. */
static void format_message(char *message, size_t size, const char *format, va_list args)
{
    if (vsnprintf(message, size, format, args) < 0)
        message[0] = '\0';
    for (char *c = message; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    }
}

static size_t format_line(char *line, size_t size, enum shim_log_level level, const char *message)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    int len = snprintf(line, size, "otelshim: [%d] %s: %s\n", (int)getpid(), names[level], message);
    if (len < 0)
        return 0;
    if ((size_t)len >= size) {
        len = (int)size - 1;
        line[len - 1] = '\n';
    }
    return (size_t)len;
}

void shim_log(enum shim_log_level level, const char *format, ...)
{
    char message[LINE_MAX_LEN];
    char line[LINE_MAX_LEN + 64];
    va_list args;
    if (!shim_log_enabled(level) || level > SHIM_LOG_DEBUG)
        return;
    int saved_errno = errno;
    va_start(args, format);
    format_message(message, sizeof(message), format, args);
    va_end(args);
    if (log_target == TARGET_SYSLOG) {
        write_syslog(level, message);
    } else {
        size_t len = format_line(line, sizeof(line), level, message);
        if (log_target == TARGET_STDERR)
            write_stderr(line, len);
        else
            write_file(line, len);
    }
    errno = saved_errno;
}

void shim_log_always(const char *format, ...)
{
    char message[LINE_MAX_LEN];
    char line[LINE_MAX_LEN + 64];
    va_list args;
    int saved_errno = errno;
    va_start(args, format);
    format_message(message, sizeof(message), format, args);
    va_end(args);
    write_line(STDERR_FILENO, line, format_line(line, sizeof(line), SHIM_LOG_WARN, message));
    errno = saved_errno;
}
