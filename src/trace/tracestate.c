/* Reads, checks and rewrites tracestate lists (W3C Trace Context Level 2, section 3.3). See
 * propagator.h. Knows nothing of what members mean, "ot" included. Any thread; only extract
 * allocates. */
#include "trace/propagation.h"

#define MEMBERS_MAX 32
#define LEN_MAX     8192 /* what is kept of a peer's list; at least 512 must be */

#define KEY_MAX    256
#define VALUE_MAX  256
#define LONG_ENTRY 128

struct members {
    unsigned count;
    size_t len; /* of the list they make, commas included */
    struct shim_str at[MEMBERS_MAX];
};

static bool is_key(struct shim_str key)
{
    if (key.len == 0 || key.len > KEY_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        bool can_start = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool can_follow = c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
        if (!can_start && (i == 0 || !can_follow))
            return false;
    }
    return true;
}

/* Trimmed already, so a space at the end cannot be there. */
static bool is_value(struct shim_str value)
{
    if (value.len == 0 || value.len > VALUE_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c < 0x20 || c > 0x7e || c == ',' || c == '=')
            return false;
    }
    return true;
}

static struct shim_str key_of(struct shim_str member)
{
    const char *equals = memchr(member.ptr, '=', member.len);
    return shim_str_n(member.ptr, equals ? (size_t)(equals - member.ptr) : member.len);
}

static bool is_member(struct shim_str member)
{
    struct shim_str key = key_of(member);
    if (key.len == member.len || !is_key(key))
        return false;
    return is_value(shim_str_n(key.ptr + key.len + 1, member.len - key.len - 1));
}

/* False: the whole of tracestate is of no use. */
static bool collect(struct members *members, struct shim_str list)
{
    struct shim_str member;
    while (shim_str_split(&list, ',', &member)) {
        member = shim_str_trim(member);
        if (member.len == 0)
            continue;
        if (members->count == MEMBERS_MAX || !is_member(member))
            return false;
        members->len += member.len + (members->count > 0 ? 1 : 0);
        members->at[members->count++] = member;
    }
    return true;
}

static void drop(struct members *members, unsigned index)
{
    members->len -= members->at[index].len + (members->count > 1 ? 1 : 0);
    members->count--;
    for (unsigned i = index; i < members->count; i++)
        members->at[i] = members->at[i + 1];
}

static void cut(struct members *members, size_t max)
{
    for (unsigned i = members->count; i > 0 && members->len > max; i--) {
        if (members->at[i - 1].len > LONG_ENTRY)
            drop(members, i - 1);
    }
    while (members->len > max)
        drop(members, members->count - 1);
}

static size_t write_members(char *dst, size_t cap, const struct members *members)
{
    struct shim_out out = {.data = dst, .cap = cap};
    for (unsigned i = 0; i < members->count; i++) {
        if (i > 0)
            shim_out_add_char(&out, ',');
        shim_out_add(&out, members->at[i]);
    }
    return out.len;
}

size_t shim_tracestate_normalise(char *dst, size_t cap, struct shim_str value)
{
    struct members members;
    members.count = 0;
    members.len = 0;
    if (!collect(&members, value))
        return 0;
    cut(&members, cap);
    return write_members(dst, cap, &members);
}

void shim_tracestate_extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct members members;
    struct shim_str value;
    members.count = 0;
    members.len = 0;
    for (unsigned i = 0; carrier->get(carrier, shim_str("tracestate"), i, &value); i++) {
        if (!collect(&members, value))
            return;
    }
    cut(&members, LEN_MAX);
    if (members.count == 0)
        return;

    struct shim_str baggage = shim_carried_baggage(context->carried);
    struct shim_carried *carried = shim_carried_alloc(members.len + baggage.len);
    if (!carried)
        return;
    size_t len = write_members(carried->text, members.len, &members);
    carried->tracestate = shim_str_n(carried->text, len);
    if (baggage.len > 0)
        memcpy(carried->text + len, baggage.ptr, baggage.len);
    carried->baggage = shim_str_n(carried->text + len, baggage.len);
    carried->debug = context->carried && context->carried->debug;
    shim_context_take_carried(context, carried);
}

bool shim_tracestate_get(struct shim_str tracestate, struct shim_str key,
                         struct shim_str *ret_value)
{
    struct shim_str member;
    while (shim_str_split(&tracestate, ',', &member)) {
        struct shim_str name = key_of(member);
        if (name.len < member.len && shim_str_equal(name, key)) {
            *ret_value = shim_str_n(name.ptr + name.len + 1, member.len - name.len - 1);
            return true;
        }
    }
    return false;
}

/* What is in a list but for one key; nothing when the list is malformed. */
static void collect_others(struct members *members, struct shim_str list, struct shim_str key)
{
    members->count = 0;
    members->len = 0;
    if (!collect(members, list)) {
        members->count = 0;
        members->len = 0;
    }
    for (unsigned i = members->count; i > 0; i--) {
        if (shim_str_equal(key_of(members->at[i - 1]), key))
            drop(members, i - 1);
    }
}

size_t shim_tracestate_set(char *dst, size_t cap, struct shim_str tracestate, struct shim_str key,
                           struct shim_str value)
{
    struct members members;
    size_t front = key.len + 1 + value.len;
    if (value.len > 0 && (!is_key(key) || !is_value(value) || front > cap))
        return shim_tracestate_normalise(dst, cap, tracestate);
    collect_others(&members, tracestate, key);
    if (value.len == 0) {
        cut(&members, cap);
        return write_members(dst, cap, &members);
    }
    if (members.count == MEMBERS_MAX)
        drop(&members, MEMBERS_MAX - 1);
    cut(&members, cap > front ? cap - front - 1 : 0);
    struct shim_out out = {.data = dst, .cap = cap};
    shim_out_add(&out, key);
    shim_out_add_char(&out, '=');
    shim_out_add(&out, value);
    if (members.count == 0)
        return out.len;
    shim_out_add_char(&out, ',');
    return out.len + write_members(dst + out.len, cap - out.len, &members);
}
