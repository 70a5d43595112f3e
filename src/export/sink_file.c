/* OTLP JSON lines to a file of the user's (OTELSHIM_FILE), rotated by size. Several processes may
 * write to one path: a line is one write() with O_APPEND, and they take turns by a lock on the
 * file. Knows nothing of what is in a span. Exporter thread only. */
#include "base/fd.h"
#include "export/otlp_json.h"
#include "export/sink.h"
#include "trace/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The largest line. A line is ended once it has passed LINE_ENOUGH; receivers that read such files
 * take lines of up to 1 MiB. */
#define LINE_MAX_SIZE ((size_t)1 << 20)
#define LINE_ENOUGH   ((size_t)1 << 19)

/* How often a file that was moved away under us is opened anew for one line. */
#define REOPEN_MAX 16

/* 100 ms in all. */
#define LOCK_TRIES 32

struct file_sink {
    struct shim_sink sink;
    const struct shim_sink_environment *environment;
    char *path;    /* absolute: the host may change its directory */
    char *rotated; /* room for two names "path.N" */
    size_t rotated_size;
    struct shim_fd fd;
    char *line;     /* LINE_MAX_SIZE; the first byte is for the newline that ends a torn line */
    int last_error; /* said already */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether this may be written to: not another user's, not a name for a file elsewhere. */
static int check_file(const struct stat *st)
{
    if (S_ISCHR(st->st_mode))
        return 0;
    if (!S_ISREG(st->st_mode))
        return -EINVAL;
    if (st->st_uid != geteuid())
        return -EPERM;
    return st->st_nlink > 1 ? -EMLINK : 0;
}

/* O_NONBLOCK: a FIFO or a terminal must not hold us up. Reading is for the last byte of the file.
 */
static int open_file(struct file_sink *file)
{
    const int flags = O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat st;
    int rc;
    int fd = open(file->path, O_RDWR | flags, 0600);

    if (fd < 0 && errno == EACCES)
        fd = open(file->path, O_WRONLY | flags, 0600);
    if (fd < 0)
        return -errno;
    rc = fstat(fd, &st) < 0 ? -errno : check_file(&st);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return shim_fd_take(fd, &file->fd);
}

static const char *rotated_name(struct file_sink *file, unsigned which, uint32_t number)
{
    char *name = file->rotated + which * file->rotated_size;
    snprintf(name, file->rotated_size, "%s.%u", file->path, number);
    return name;
}

/* path.1 becomes path.2 and so on, as far as names are taken without a gap; then path becomes
 * path.1. */
static int shift_files(struct file_sink *file)
{
    uint32_t keep = file->environment->config->file_max_count;
    uint32_t last = 1;
    struct stat st;

    if (keep == 0)
        return unlink(file->path) < 0 ? -errno : 0;
    while (last < keep && lstat(rotated_name(file, 0, last), &st) == 0)
        last++;
    for (; last > 1; last--) {
        if (rename(rotated_name(file, 0, last - 1), rotated_name(file, 1, last)) < 0)
            return -errno;
    }
    return rename(file->path, rotated_name(file, 0, 1)) < 0 ? -errno : 0;
}

/* Writers of one path take turns, so that each sees whole lines, and only one moves files. Bounded,
 * for a holder may be stopped for good; who waited in vain writes all the same. False: not locked.
 */
static bool lock_file(int fd)
{
    struct timespec pause = {.tv_nsec = 16000};

    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return true; /* or a file system without locks */
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 4000000)
            pause.tv_nsec *= 2;
    }
    return false;
}

static void close_file(struct file_sink *file)
{
    flock(file->fd.fd, LOCK_UN);
    shim_fd_close(&file->fd);
}

/* Sees to it that file->fd is what `path` names now, is locked, and has room for `len` bytes. */
static int prepare(struct file_sink *file, size_t len, struct stat *ret_st, bool *ret_locked)
{
    uint64_t max = file->environment->config->file_max_size;
    struct stat named;
    int rc;

    for (unsigned i = 0; i < REOPEN_MAX; i++) {
        if (!shim_fd_is_ours(&file->fd)) {
            rc = open_file(file);
            if (rc < 0)
                return rc;
        }
        *ret_locked = lock_file(file->fd.fd);
        if (fstat(file->fd.fd, ret_st) < 0)
            return -errno;
        if (lstat(file->path, &named) < 0 || !same_file(&named, ret_st)) {
            close_file(file);
            continue;
        }
        if (!*ret_locked || !S_ISREG(ret_st->st_mode) || max == 0 || ret_st->st_size == 0 ||
            (uint64_t)ret_st->st_size + len <= max)
            return 0;
        rc = shift_files(file);
        if (rc < 0) {
            flock(file->fd.fd, LOCK_UN);
            return rc;
        }
        close_file(file);
    }
    /* Others move the file faster than we open it: what we have then is good enough for a line. */
    *ret_locked = false;
    rc = open_file(file);
    return rc == 0 && fstat(file->fd.fd, ret_st) < 0 ? -errno : rc;
}

/* A line that a full disk or a dying process left without its end. */
static bool ends_torn(struct file_sink *file, const struct stat *st)
{
    char last;

    return S_ISREG(st->st_mode) && st->st_size > 0 &&
           pread(file->fd.fd, &last, 1, st->st_size - 1) == 1 && last != '\n';
}

/* `line` has one spare byte in front. 0 or -Exxx; a line that was written in part counts as not
 * written. */
static int write_line(struct file_sink *file, char *line, size_t len)
{
    struct stat st;
    bool locked;
    ssize_t written;
    int rc = prepare(file, len, &st, &locked);

    if (rc < 0)
        return rc;
    if (locked && ends_torn(file, &st)) {
        *--line = '\n';
        len++;
    }
    do
        written = write(file->fd.fd, line, len);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        rc = -errno;
    else if ((size_t)written < len)
        rc = -ENOSPC;
    if (locked)
        flock(file->fd.fd, LOCK_UN);
    return rc;
}

/* Says each trouble once, until another one comes or a line gets through. */
static void drop(struct file_sink *file, struct shim_sink_result *result, uint32_t spans, int error)
{
    char text[100];

    result->dropped += spans;
    result->drop_reason = SHIM_COUNTER_DROPPED_IO;
    if (file->last_error == error)
        return;
    file->last_error = error;
    snprintf(result->message, sizeof(result->message), "%.150s: %s", file->path,
             error == -EINVAL    ? "neither a file nor a character device"
             : error == -EPERM   ? "belongs to another user"
             : error == -EMLINK  ? "has other names (hard links)"
             : error == -EBADMSG ? "a span could not be read or is too large"
                                 : strerror_r(-error, text, sizeof(text)));
}

/* A line in the making. */
struct line {
    struct shim_buf buf;
    uint32_t spans;
};

static void line_begin(struct file_sink *file, struct line *line)
{
    shim_buf_init(&line->buf, file->line + 1, LINE_MAX_SIZE - 1);
    line->spans = 0;
}

static void line_end(struct file_sink *file, struct line *line, struct shim_sink_result *result)
{
    int rc;

    if (line->spans == 0)
        return;
    shim_otlp_json_end(&line->buf);
    rc = write_line(file, line->buf.data, line->buf.len);
    if (rc < 0) {
        drop(file, result, line->spans, rc);
    } else {
        result->exported += line->spans;
        file->last_error = 0;
    }
    line_begin(file, line);
}

static bool line_add(struct file_sink *file, struct line *line, const Otlp__Span *span)
{
    if (line->spans == 0 && !shim_otlp_json_begin(&line->buf, file->environment->resource))
        return false;
    if (!shim_otlp_json_add(&line->buf, span, line->spans == 0))
        return false;
    line->spans++;
    return true;
}

static void add_record(struct file_sink *file, struct line *line, const uint8_t *message,
                       size_t len, struct shim_sink_result *result)
{
    Otlp__Span *span = shim_record_unpack(message, len);
    bool added = span && line_add(file, line, span);

    if (span && !added) {
        line_end(file, line, result);
        line_begin(file, line);
        added = line_add(file, line, span);
    }
    if (!added) {
        drop(file, result, 1, -EBADMSG);
        if (line->spans == 0)
            line_begin(file, line);
    }
    otlp__span__free_unpacked(span, NULL);
    if (line->buf.len > LINE_ENOUGH)
        line_end(file, line, result);
}

static void send_batch(struct shim_sink *sink, const struct shim_batch *batch,
                       struct shim_sink_result *ret_result)
{
    struct file_sink *file = (struct file_sink *)sink;
    struct line line;
    uint32_t seen;

    *ret_result = (struct shim_sink_result){0};
    line_begin(file, &line);
    for (unsigned i = 0; i < batch->piece_count; i++) {
        const uint8_t *data = batch->piece[i].data;
        const uint8_t *end = data + batch->piece[i].len;
        const uint8_t *message;
        size_t len;

        while ((message = shim_record_next(&data, end, &len)))
            add_record(file, &line, message, len, ret_result);
    }
    line_end(file, &line, ret_result);
    seen = ret_result->exported + ret_result->dropped;
    if (seen < batch->spans)
        drop(file, ret_result, batch->spans - seen, -EBADMSG);
}

static void sink_free(struct shim_sink *sink)
{
    struct file_sink *file = (struct file_sink *)sink;

    shim_fd_close(&file->fd);
    free(file->path);
    free(file->rotated);
    free(file->line);
    free(file);
}

/* Made absolute now, since daemons change to / before they work. NULL: no memory. */
static char *absolute_path(const char *path)
{
    char directory[PATH_MAX];
    char *absolute;

    if (path[0] == '/' || !getcwd(directory, sizeof(directory)) || directory[0] != '/')
        return strdup(path);
    return asprintf(&absolute, "%s/%s", directory, path) < 0 ? NULL : absolute;
}

struct shim_sink *shim_sink_file_new(const struct shim_sink_environment *environment,
                                     char *ret_message)
{
    struct file_sink *file;

    if (!environment->config->file_path[0]) {
        snprintf(ret_message, 256, "OTELSHIM_FILE is not set: the file exporter needs a path");
        return NULL;
    }
    file = calloc(1, sizeof(*file));
    if (!file)
        goto no_memory;
    file->sink = (struct shim_sink){.name = "file", .send = send_batch, .free = sink_free};
    file->environment = environment;
    file->fd = SHIM_FD_NONE;
    file->path = absolute_path(environment->config->file_path);
    if (!file->path)
        goto no_memory;
    file->rotated_size = strlen(file->path) + sizeof(".4294967295");
    file->rotated = malloc(2 * file->rotated_size);
    file->line = malloc(LINE_MAX_SIZE);
    if (file->rotated && file->line)
        return &file->sink;
no_memory:
    if (file)
        sink_free(&file->sink);
    snprintf(ret_message, 256, "no memory for the file exporter");
    return NULL;
}
