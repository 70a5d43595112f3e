/* Reads facts out of the texts of system files. See host_facts.h. Opens nothing; what is not
 * understood is not there. Any thread. */
#include "trace/host_facts.h"

#include "base/buf.h"

#include <errno.h>

#define CONTAINER_ID_LEN 64
#define MACHINE_ID_LEN   32

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static size_t hex_run(struct shim_str text)
{
    size_t len = 0;
    while (len < text.len && is_hex(text.ptr[len]))
        len++;
    return len;
}

/* The last run of exactly 64 hexadecimal digits. */
static bool last_id(struct shim_str text, struct shim_str *ret_id)
{
    bool found = false;
    for (size_t i = 0; i < text.len;) {
        size_t len = hex_run(shim_str_n(text.ptr + i, text.len - i));
        if (len == CONTAINER_ID_LEN) {
            *ret_id = shim_str_n(text.ptr + i, len);
            found = true;
        }
        i += len + 1;
    }
    return found;
}

bool shim_facts_container_of_cgroup(struct shim_str cgroup, struct shim_str *ret_id)
{
    struct shim_str line;
    while (shim_str_split(&cgroup, '\n', &line)) {
        if (last_id(line, ret_id))
            return true;
    }
    return false;
}

bool shim_facts_container_of_mounts(struct shim_str mountinfo, struct shim_str *ret_id)
{
    /* docker: …/docker/containers/<id>/; podman: …/overlay-containers/<id>/userdata/. */
    static const char before[] = "containers/";
    const size_t before_len = sizeof(before) - 1;
    struct shim_str rest = mountinfo;
    while (rest.len > before_len + CONTAINER_ID_LEN) {
        const char *found = memmem(rest.ptr, rest.len, before, before_len);
        if (!found)
            return false;
        size_t used = (size_t)(found - rest.ptr) + before_len;
        rest = shim_str_n(rest.ptr + used, rest.len - used);
        if (hex_run(rest) == CONTAINER_ID_LEN) {
            *ret_id = shim_str_n(rest.ptr, CONTAINER_ID_LEN);
            return true;
        }
    }
    return false;
}

bool shim_facts_user_name(struct shim_str passwd, uint32_t uid, struct shim_str *ret_name)
{
    struct shim_str line, name, password, number;
    while (shim_str_split(&passwd, '\n', &line)) {
        unsigned long long value;
        if (!shim_str_split(&line, ':', &name) || !shim_str_split(&line, ':', &password) ||
            !shim_str_split(&line, ':', &number))
            continue;
        if (shim_str_to_u64(number, &value) < 0 || value != uid || name.len == 0)
            continue;
        *ret_name = name;
        return true;
    }
    return false;
}

bool shim_facts_machine_id(struct shim_str text, struct shim_str *ret_id)
{
    if (hex_run(text) != MACHINE_ID_LEN)
        return false;
    *ret_id = shim_str_n(text.ptr, MACHINE_ID_LEN);
    return true;
}

int shim_facts_start_ticks(struct shim_str stat, uint64_t *ret_ticks)
{
    /* Field 2, the name, may hold spaces and parentheses: fields count from the last one. */
    const char *name_end = stat.len > 0 ? memrchr(stat.ptr, ')', stat.len) : NULL;
    if (!name_end || (size_t)(name_end - stat.ptr) + 2 > stat.len)
        return -EINVAL;
    struct shim_str rest = shim_str_n(name_end + 2, stat.len - (size_t)(name_end - stat.ptr) - 2);
    struct shim_str field = {NULL, 0};
    for (int i = 3; i <= 22; i++) {
        if (!shim_str_split(&rest, ' ', &field))
            return -EINVAL;
    }
    unsigned long long ticks;
    if (shim_str_to_u64(field, &ticks) < 0)
        return -EINVAL;
    *ret_ticks = ticks;
    return 0;
}

const char *shim_facts_arch(const char *machine)
{
    static const struct {
        const char *machine, *arch;
    } names[] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i386", "x86"},      {"i486", "x86"},
        {"i586", "x86"},     {"i686", "x86"},      {"armv6l", "arm32"},  {"armv7l", "arm32"},
        {"armv8l", "arm32"}, {"ppc", "ppc32"},     {"ppc64le", "ppc64"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(machine, names[i].machine) == 0)
            return names[i].arch;
    }
    return machine;
}

static void add_padded(struct shim_buf *buf, uint64_t value, uint64_t smallest_full)
{
    for (; smallest_full > 1 && value < smallest_full; smallest_full /= 10)
        shim_buf_add_char(buf, '0');
    shim_buf_add_u64(buf, value);
}

static bool is_leap(uint64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* By hand: gmtime_r takes libc's time zone lock, which another thread may hold across a fork. */
void shim_facts_format_time(char text[SHIM_FACTS_TIME_SIZE], uint64_t unix_ms)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t seconds = unix_ms / 1000, days = seconds / 86400, year = 1970, month = 0;
    struct shim_buf buf;
    for (uint64_t of_year; year < 9999 && days >= (of_year = is_leap(year) ? 366 : 365); year++)
        days -= of_year;
    for (; month < 11; month++) {
        uint64_t of_month = month_days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
        if (days < of_month)
            break;
        days -= of_month;
    }
    shim_buf_init(&buf, text, SHIM_FACTS_TIME_SIZE);
    add_padded(&buf, year, 1000);
    shim_buf_add_char(&buf, '-');
    add_padded(&buf, month + 1, 10);
    shim_buf_add_char(&buf, '-');
    add_padded(&buf, days + 1, 10);
    shim_buf_add_char(&buf, 'T');
    add_padded(&buf, seconds / 3600 % 24, 10);
    shim_buf_add_char(&buf, ':');
    add_padded(&buf, seconds / 60 % 60, 10);
    shim_buf_add_char(&buf, ':');
    add_padded(&buf, seconds % 60, 10);
    shim_buf_add_char(&buf, '.');
    add_padded(&buf, unix_ms % 1000, 100);
    shim_buf_add_char(&buf, 'Z');
}
