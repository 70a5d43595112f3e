/* Puts the resource together: the user's attributes first, then what is found out and not among
 * them. Reads files with open and read only, so that a process without /proc, or with a user
 * database behind NSS, gets a smaller resource and no surprise. Exporter thread only. */
#include "trace/resource.h"

#include "base/buf.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "base/version.h"
#include "trace/host_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* All that is found out fits: two paths, a command line, and short texts. */
#define FACTS_SIZE        (2 * PATH_MAX + COMMAND_LINE_SIZE + 4096)
#define COMMAND_LINE_SIZE 32768
#define FILE_SIZE_MAX     (4u << 20)
#define FILE_SIZE_FIRST   16384u

/* What is found out, service.name included, has room whatever the user adds. */
#define FACTS_MAX 24
#define USER_MAX  (SHIM_RESOURCE_MAX - FACTS_MAX)

/* The memory of the resource while it is filled. */
struct builder {
    struct shim_resource *resource;
    size_t used;
    size_t size;
};

static struct shim_resource_attribute *attribute_find(const struct shim_resource *resource,
                                                      const char *key)
{
    for (unsigned i = 0; i < resource->count; i++) {
        if (strcmp(resource->attribute[i].key, key) == 0)
            return (struct shim_resource_attribute *)&resource->attribute[i];
    }
    return NULL;
}

static struct shim_resource_attribute *attribute_add(struct builder *builder, const char *key)
{
    struct shim_resource *resource = builder->resource;
    if (resource->count == SHIM_RESOURCE_MAX)
        return NULL;
    struct shim_resource_attribute *attribute = &resource->attribute[resource->count++];
    *attribute = (struct shim_resource_attribute){.key = key};
    return attribute;
}

/* A copy as valid UTF-8 with a NUL behind it; NULL: no room. */
static char *keep(struct builder *builder, struct shim_str text)
{
    if (text.len >= builder->size - builder->used)
        return NULL;
    char *copy = builder->resource->memory + builder->used;
    shim_utf8_copy(copy, text);
    copy[text.len] = '\0';
    builder->used += text.len + 1;
    return copy;
}

/* What the user has set stays; `key` is static. */
static void add_fact(struct builder *builder, const char *key, struct shim_str text)
{
    if (text.len == 0 || attribute_find(builder->resource, key))
        return;
    char *copy = keep(builder, text);
    struct shim_resource_attribute *attribute = copy ? attribute_add(builder, key) : NULL;
    if (attribute)
        attribute->text = copy;
}

/* Reads all of a file that says no size; malloced, the caller frees ret_text->ptr. */
static bool read_file(const char *path, struct shim_str *ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    size_t len = 0, size = FILE_SIZE_FIRST;
    char *text = malloc(size);
    ssize_t n = text ? 1 : -1;
    while (n > 0) {
        if (len == size) {
            char *larger = size < FILE_SIZE_MAX ? realloc(text, size * 2) : NULL;
            if (!larger)
                break;
            text = larger;
            size *= 2;
        }
        do
            n = read(fd, text + len, size - len);
        while (n < 0 && errno == EINTR);
        if (n > 0)
            len += (size_t)n;
    }
    close(fd);
    if (n < 0 || len == 0) {
        free(text);
        return false;
    }
    *ret_text = shim_str_n(text, len);
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* -EINVAL for a % without two hexadecimal digits, and for an encoded NUL. `dst` has room for
 * text.len. */
static int percent_decode(char *dst, struct shim_str text, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_value(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        dst[len++] = c;
    }
    *ret_len = len;
    return 0;
}

/* A decoded copy, kept. `scratch` has room for the text. */
static int keep_decoded(struct builder *builder, char *scratch, struct shim_str text,
                        char **ret_copy)
{
    size_t len;
    int r = percent_decode(scratch, shim_str_trim(text), &len);
    if (r < 0)
        return r;
    *ret_copy = keep(builder, shim_str_n(scratch, len));
    return *ret_copy ? 0 : -ENOMEM;
}

/* OTEL_RESOURCE_ATTRIBUTES (Resource SDK, Specifying resource information via an environment
 * variable): any error discards the whole value. A later member of the same key wins. */
static int add_user_attributes(struct builder *builder, struct shim_str list, char *scratch)
{
    struct shim_str member;
    while (shim_str_split(&list, ',', &member)) {
        member = shim_str_trim(member);
        if (member.len == 0)
            continue;
        const char *equals = memchr(member.ptr, '=', member.len);
        if (!equals)
            return -EINVAL;
        size_t key_len = (size_t)(equals - member.ptr);
        char *key, *value;
        int r = keep_decoded(builder, scratch, shim_str_n(member.ptr, key_len), &key);
        if (r == 0)
            r = keep_decoded(builder, scratch, shim_str_n(equals + 1, member.len - key_len - 1),
                             &value);
        if (r < 0)
            return r;
        if (!key[0])
            return -EINVAL;
        struct shim_resource_attribute *attribute = attribute_find(builder->resource, key);
        if (!attribute && builder->resource->count < USER_MAX)
            attribute = attribute_add(builder, key);
        if (attribute)
            attribute->text = value;
    }
    return 0;
}

/* Random (RFC 9562, version 4), so a forked child's is another one. */
static void add_instance_id(struct builder *builder)
{
    uint8_t bytes[16];
    char digits[32], text[37];
    struct shim_buf buf;
    /* Not waiting: early at boot there is no randomness yet, and the host must not wait for us. */
    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes)) {
        int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;
        if (fd >= 0)
            close(fd);
        if (n != (ssize_t)sizeof(bytes))
            return;
    }
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    shim_hex_encode(digits, bytes, sizeof(bytes));
    shim_buf_init(&buf, text, sizeof(text));
    for (size_t i = 0; i < sizeof(digits); i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            shim_buf_add_char(&buf, '-');
        shim_buf_add_char(&buf, digits[i]);
    }
    add_fact(builder, "service.instance.id", shim_str_n(text, buf.len));
}

/* The path of the program; "" when /proc is not there. */
static struct shim_str executable_path(char *path, size_t size)
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", path, size);
    if (n <= 0 || path[0] != '/')
        return shim_str_n(path, 0);
    struct shim_str text = shim_str_n(path, (size_t)n);
    size_t tail = sizeof(deleted) - 1;
    if (text.len > tail && memcmp(text.ptr + text.len - tail, deleted, tail) == 0)
        text.len -= tail;
    return text;
}

static struct shim_str base_name(struct shim_str path)
{
    const char *slash = path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
    if (!slash)
        return path;
    return shim_str_n(slash + 1, path.len - (size_t)(slash - path.ptr) - 1);
}

static void add_executable(struct builder *builder)
{
    char path[PATH_MAX];
    char unknown[PATH_MAX + 32];
    struct shim_buf buf;
    struct shim_str executable = executable_path(path, sizeof(path));
    struct shim_str name = base_name(executable);
    if (name.len == 0)
        name = shim_str(program_invocation_short_name);
    add_fact(builder, "process.executable.path", executable);
    add_fact(builder, "process.executable.name", name);
    shim_buf_init(&buf, unknown, sizeof(unknown));
    shim_buf_add_text(&buf, "unknown_service");
    if (name.len > 0) {
        shim_buf_add_char(&buf, ':');
        shim_buf_add(&buf, name);
    }
    add_fact(builder, "service.name", shim_str_n(unknown, buf.len));
}

/* process.command and, when asked for, process.command_args: an array. */
static void add_command(struct builder *builder, bool with_args)
{
    struct shim_str line;
    if (!read_file("/proc/self/cmdline", &line))
        return;
    char *owned = (char *)line.ptr;
    if (line.len > COMMAND_LINE_SIZE - PATH_MAX)
        line.len = COMMAND_LINE_SIZE - PATH_MAX;
    add_fact(builder, "process.command", shim_str_n(line.ptr, strnlen(line.ptr, line.len)));
    if (with_args && !attribute_find(builder->resource, "process.command_args")) {
        if (line.ptr[line.len - 1] == '\0')
            line.len--;
        unsigned items = 1;
        for (size_t i = 0; i < line.len; i++)
            items += line.ptr[i] == '\0';
        char *copy = keep(builder, line);
        struct shim_resource_attribute *attribute =
            copy ? attribute_add(builder, "process.command_args") : NULL;
        if (attribute) {
            attribute->text = copy;
            attribute->items = items;
        }
    }
    free(owned);
}

static uint64_t now_ms(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) < 0
               ? 0
               : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void add_creation_time(struct builder *builder)
{
    struct shim_str stat;
    uint64_t ticks;
    char text[SHIM_FACTS_TIME_SIZE];
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    if (!read_file("/proc/self/stat", &stat))
        return;
    int r = shim_facts_start_ticks(stat, &ticks);
    free((char *)stat.ptr);
    uint64_t now = now_ms(CLOCK_REALTIME), since_boot = now_ms(CLOCK_BOOTTIME);
    if (r < 0 || ticks_per_second <= 0 || now < since_boot)
        return;
    shim_facts_format_time(text, now - since_boot + ticks * 1000 / (unsigned long)ticks_per_second);
    add_fact(builder, "process.creation.time", shim_str(text));
}

static void add_process(struct builder *builder, bool with_args)
{
    struct shim_str passwd, name;
    char number[16];
    struct shim_buf buf;
    struct shim_resource_attribute *pid = attribute_find(builder->resource, "process.pid")
                                              ? NULL
                                              : attribute_add(builder, "process.pid");
    if (pid)
        pid->number = getpid();
    add_executable(builder);
    add_command(builder, with_args);
    add_creation_time(builder);

    shim_buf_init(&buf, number, sizeof(number));
    shim_buf_add_u64(&buf, geteuid());
    name = shim_str_n(number, buf.len);
    bool has_passwd = read_file("/etc/passwd", &passwd);
    if (has_passwd)
        shim_facts_user_name(passwd, geteuid(), &name);
    add_fact(builder, "process.owner", name);
    if (has_passwd)
        free((char *)passwd.ptr);
}

/* Adds what `find` sees in the file; false: nothing. */
static bool add_from_file(struct builder *builder, const char *key, const char *path,
                          bool (*find)(struct shim_str text, struct shim_str *ret_value))
{
    struct shim_str text, value;
    if (!read_file(path, &text))
        return false;
    bool found = find(text, &value);
    if (found)
        add_fact(builder, key, value);
    free((char *)text.ptr);
    return found;
}

static void add_host(struct builder *builder)
{
    struct utsname system;
    if (uname(&system) == 0) {
        add_fact(builder, "host.name", shim_str(system.nodename));
        add_fact(builder, "host.arch", shim_str(shim_facts_arch(system.machine)));
    }
    add_fact(builder, "os.type", shim_str("linux"));
    if (!add_from_file(builder, "host.id", "/etc/machine-id", shim_facts_machine_id))
        add_from_file(builder, "host.id", "/var/lib/dbus/machine-id", shim_facts_machine_id);
    if (!add_from_file(builder, "container.id", "/proc/self/cgroup",
                       shim_facts_container_of_cgroup))
        add_from_file(builder, "container.id", "/proc/self/mountinfo",
                      shim_facts_container_of_mounts);
}

static void add_sdk(struct builder *builder)
{
    add_fact(builder, "telemetry.sdk.name", shim_str(SHIM_NAME));
    /* The conventions' values for languages have cpp but no C; where none applies they allow one of
     * one's own, and C is not C++. */
    add_fact(builder, "telemetry.sdk.language", shim_str("c"));
    add_fact(builder, "telemetry.sdk.version", shim_str(SHIM_VERSION));
    add_fact(builder, "telemetry.distro.name", shim_str(SHIM_NAME));
    add_fact(builder, "telemetry.distro.version", shim_str(SHIM_VERSION));
}

int shim_resource_detect(struct shim_resource *ret_resource,
                         const struct shim_resource_options *options)
{
    struct shim_str name = shim_str(options->service_name);
    struct shim_str list = shim_str(options->resource_attributes);
    struct builder builder = {.resource = ret_resource};
    /* Each member of the list grows by two NULs at most, and has a = and a comma. */
    builder.size = name.len + list.len + 3 + FACTS_SIZE;
    ret_resource->count = 0;
    ret_resource->memory = malloc(builder.size);
    char *scratch = malloc(list.len + 1);
    int r = ret_resource->memory && scratch ? 0 : -ENOMEM;
    if (r < 0) {
        free(ret_resource->memory);
        ret_resource->memory = NULL;
        free(scratch);
        return r;
    }

    add_fact(&builder, "service.name", name);
    r = add_user_attributes(&builder, list, scratch);
    if (r < 0) {
        builder.used = 0;
        ret_resource->count = 0;
        add_fact(&builder, "service.name", name);
    } else if (name.len > 0) {
        /* OTEL_SERVICE_NAME wins over service.name in the list, which took its place. */
        ret_resource->attribute[0].text = ret_resource->memory;
    }
    add_sdk(&builder);
    add_instance_id(&builder);
    add_process(&builder, options->command_args);
    add_host(&builder);
    free(scratch);
    return r;
}

void shim_resource_fini(struct shim_resource *resource)
{
    free(resource->memory);
    resource->memory = NULL;
    resource->count = 0;
}

const char *shim_resource_get(const struct shim_resource *resource, const char *key)
{
    const struct shim_resource_attribute *attribute = attribute_find(resource, key);
    return attribute ? attribute->text : NULL;
}
