/* One reader per type of value. See setting.h. Must not know which variables there are, and reads
 * no environment. Constructor only; async-signal-safe. */
#include "config/setting.h"

#include "base/match.h"
#include "base/url.h"
#include "config/parse.h"

#include <errno.h>
#include <sys/mman.h>

#define ROOM_SET_ASIDE 32768
#define TRACES_PATH    "/v1/traces"

static char set_aside[ROOM_SET_ASIDE];
static char *room = set_aside;
static size_t room_size = sizeof(set_aside);
static size_t room_used;

void shim_setting_room(size_t bytes)
{
    if (room != set_aside)
        munmap(room, room_size);
    room = set_aside;
    room_size = sizeof(set_aside);
    room_used = 0;
    if (bytes <= room_size)
        return;
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return;
    room = mapped;
    room_size = bytes;
}

static char *room_take(size_t size)
{
    if (size > room_size - room_used)
        return NULL;
    char *taken = room + room_used;
    room_used += size;
    return taken;
}

struct shim_str shim_setting_keep(struct shim_str text)
{
    char *copy = room_take(text.len + 1);
    if (!copy)
        return shim_str_n(NULL, 0);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return shim_str_n(copy, text.len);
}

static struct shim_problem problem(const char *what)
{
    return (struct shim_problem){.what = what};
}

static struct shim_problem fine(void)
{
    return problem(NULL);
}

struct shim_problem shim_read_boolean(const struct shim_setting *setting, struct shim_str text,
                                      void *field)
{
    (void)setting;
    return shim_parse_boolean(text, field) < 0 ? problem("is neither true nor false") : fine();
}

static struct shim_problem read_number(const struct shim_setting *setting, struct shim_str text,
                                       const char *malformed, uint32_t *field)
{
    uint64_t value;
    int r = shim_parse_integer(text, setting->min, setting->max, &value);
    if (r < 0)
        return problem(r == -ERANGE ? "is out of range" : malformed);
    *field = (uint32_t)value;
    return fine();
}

struct shim_problem shim_read_integer(const struct shim_setting *setting, struct shim_str text,
                                      void *field)
{
    return read_number(setting, text, "is not a whole number", field);
}

struct shim_problem shim_read_duration(const struct shim_setting *setting, struct shim_str text,
                                       void *field)
{
    return read_number(setting, text, "is not a number of milliseconds", field);
}

struct shim_problem shim_read_size(const struct shim_setting *setting, struct shim_str text,
                                   void *field)
{
    int r = shim_parse_size(text, setting->min, setting->max, field);
    if (r < 0)
        return problem(r == -ERANGE ? "is out of range" : "is not a size in bytes");
    return fine();
}

struct shim_problem shim_read_ratio(const struct shim_setting *setting, struct shim_str text,
                                    void *field)
{
    (void)setting;
    return shim_parse_ratio(text, field) < 0 ? problem("is not a number from 0 to 1") : fine();
}

struct shim_problem shim_read_text(const struct shim_setting *setting, struct shim_str text,
                                   void *field)
{
    (void)setting;
    *(const char **)field = text.ptr;
    return fine();
}

struct shim_problem shim_read_lowercase(const struct shim_setting *setting, struct shim_str text,
                                        void *field)
{
    (void)setting;
    char *copy = room_take(text.len + 1);
    if (!copy)
        return problem("is too long");
    for (size_t i = 0; i <= text.len; i++)
        copy[i] =
            text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? (char)(text.ptr[i] | 0x20) : text.ptr[i];
    *(const char **)field = copy;
    return fine();
}

/* NULL, with *ret_what set, when the word is none of them. */
static const struct shim_choice *choice_find(const struct shim_choice *choices,
                                             struct shim_str word, const char **ret_what)
{
    *ret_what = "is not known";
    for (const struct shim_choice *choice = choices; choice->name; choice++) {
        if (!shim_str_equal_nocase(word, shim_str(choice->name)))
            continue;
        if (!choice->unsupported)
            return choice;
        *ret_what = "is not supported";
        break;
    }
    return NULL;
}

struct shim_problem shim_read_choice(const struct shim_setting *setting, struct shim_str text,
                                     void *field)
{
    const char *what;
    const struct shim_choice *choice = choice_find(setting->choices, text, &what);
    if (!choice)
        return problem(what);
    *(uint32_t *)field = choice->value;
    return fine();
}

struct shim_problem shim_read_bits(const struct shim_setting *setting, struct shim_str text,
                                   void *field)
{
    struct shim_problem wrong = fine();
    struct shim_str word, none = {NULL, 0};
    uint32_t bits = 0;
    while (shim_str_split(&text, ',', &word)) {
        const char *what;
        word = shim_str_trim(word);
        if (word.len == 0)
            continue;
        const struct shim_choice *choice = choice_find(setting->choices, word, &what);
        if (choice && choice->value == 0)
            none = word;
        else if (choice)
            bits |= choice->value;
        else if (!wrong.what)
            wrong = (struct shim_problem){.what = what, .member = word};
    }
    if (none.len > 0 && bits != 0)
        wrong = (struct shim_problem){.what = "stands beside others", .member = none};
    wrong.is_partial = bits != 0 || none.len > 0;
    /* A list of nothing but commas is as good as unset. */
    if (wrong.is_partial)
        *(uint32_t *)field = bits;
    return wrong;
}

struct shim_problem shim_read_switches(const struct shim_setting *setting, struct shim_str text,
                                       void *field)
{
    struct shim_problem wrong = fine();
    struct shim_str word;
    uint32_t all = 0, in = 0, out = 0;
    for (const struct shim_choice *choice = setting->choices; choice->name; choice++)
        all |= choice->value;
    bool any_in = false, any_out = false;
    while (shim_str_split(&text, ',', &word)) {
        const char *what;
        word = shim_str_trim(word);
        if (word.len == 0)
            continue;
        bool is_out = word.ptr[0] == '-';
        struct shim_str name = shim_str_n(word.ptr + is_out, word.len - is_out);
        const struct shim_choice *choice = choice_find(setting->choices, name, &what);
        if (!choice) {
            if (!wrong.what)
                wrong = (struct shim_problem){.what = what, .member = word};
            continue;
        }
        any_in = any_in || !is_out;
        any_out = any_out || is_out;
        *(is_out ? &out : &in) |= choice->value;
    }
    wrong.is_partial = any_in || any_out;
    if (wrong.is_partial)
        *(uint32_t *)field = (any_in ? in : all) & ~out;
    return wrong;
}

struct shim_problem shim_read_hosts(const struct shim_setting *setting, struct shim_str text,
                                    void *field)
{
    struct shim_problem wrong = fine();
    (void)setting;
    *(const char **)field = text.ptr;
    if (shim_host_list_check(text, &wrong.member) < 0) {
        wrong.what = "is neither a host nor a network";
        /* The list says where something may be sent: with a mistake in it that must not become
         * "everywhere". */
        wrong.is_partial = true;
    }
    return wrong;
}

struct shim_problem shim_read_pairs(const struct shim_setting *setting, struct shim_str text,
                                    void *field)
{
    (void)setting;
    if (shim_parse_pairs_check(text) < 0)
        return problem("is not a list of key=value, percent-encoded");
    *(const char **)field = text.ptr;
    return fine();
}

static struct shim_str add(char *dst, struct shim_str built, struct shim_str text)
{
    if (text.len > 0)
        memcpy(dst + built.len, text.ptr, text.len);
    return shim_str_n(dst, built.len + text.len);
}

/* Puts the URL together again, as `text` has it up to its path, with `path` and the query behind.
 */
static struct shim_problem keep_url(struct shim_str text, const struct shim_url *url,
                                    struct shim_str path, struct shim_str more, void *field)
{
    const char *end = text.ptr + text.len;
    if (url->fragment.ptr)
        end = url->fragment.ptr - 1;
    if (url->query.ptr)
        end = url->query.ptr - 1;
    if (url->path.len > 0)
        end = url->path.ptr;
    char *dst = room_take(text.len + more.len + 2);
    if (!dst)
        return problem("is too long");
    struct shim_str built =
        add(dst, shim_str_n(dst, 0), shim_str_n(text.ptr, (size_t)(end - text.ptr)));
    built = add(dst, built, path);
    built = add(dst, built, more);
    if (url->query.len > 0) {
        built = add(dst, built, shim_str("?"));
        built = add(dst, built, url->query);
    }
    dst[built.len] = '\0';
    *(const char **)field = dst;
    return fine();
}

static const char *url_problem(struct shim_str text, struct shim_url *ret_url)
{
    if (shim_url_parse(text, ret_url) < 0)
        return "is not a URL";
    if (!shim_str_equal_nocase(ret_url->scheme, shim_str("http")) &&
        !shim_str_equal_nocase(ret_url->scheme, shim_str("https")))
        return "does not begin with http:// or https://";
    return NULL;
}

struct shim_problem shim_read_endpoint_base(const struct shim_setting *setting,
                                            struct shim_str text, void *field)
{
    struct shim_url url;
    (void)setting;
    const char *what = url_problem(text, &url);
    if (what)
        return problem(what);
    struct shim_str path = url.path;
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    return keep_url(text, &url, path, shim_str(TRACES_PATH), field);
}

struct shim_problem shim_read_endpoint(const struct shim_setting *setting, struct shim_str text,
                                       void *field)
{
    struct shim_url url;
    (void)setting;
    const char *what = url_problem(text, &url);
    if (what)
        return problem(what);
    return keep_url(text, &url, url.path, shim_str(url.path.len > 0 ? "" : "/"), field);
}
