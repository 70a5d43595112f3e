/* W3C Baggage: reading, writing and editing lists; and its propagator. A malformed member is left
 * out, the rest of the list stays. Knows nothing of where baggage may be sent. Any thread;
 * allocates where propagation.h says so. */
#include "base/hex.h"
#include "trace/propagation.h"

#define MEMBERS_MAX 64

struct entry {
    struct shim_str key;
    struct shim_str value;      /* as it travels: percent-encoded */
    struct shim_str properties; /* what stands behind the first ';', "" when nothing */
};

static const char *const fields[] = {"baggage", NULL};

/* RFC 9110, token. */
static bool is_token(struct shim_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static bool is_value_byte(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

static bool is_value(struct shim_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_value_byte(text.ptr[i]))
            return false;
    }
    return true;
}

/* "key = value"; a property may do without the value. */
static bool read_pair(struct shim_str text, struct shim_str *ret_key, struct shim_str *ret_value,
                      bool *ret_has_value)
{
    const char *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    size_t key_len = equals ? (size_t)(equals - text.ptr) : text.len;
    *ret_key = shim_str_trim(shim_str_n(text.ptr, key_len));
    *ret_value = shim_str_n("", 0);
    *ret_has_value = equals;
    if (equals)
        *ret_value = shim_str_trim(shim_str_n(equals + 1, text.len - key_len - 1));
    return is_token(*ret_key) && is_value(*ret_value);
}

static bool read_member(struct shim_str member, struct entry *ret_entry)
{
    struct shim_str pair, part, key, value;
    bool has_value;
    struct shim_str rest = member;
    if (!shim_str_split(&rest, ';', &pair) ||
        !read_pair(pair, &ret_entry->key, &ret_entry->value, &has_value) || !has_value)
        return false;
    ret_entry->properties = shim_str_n("", 0);
    if (pair.len < member.len)
        ret_entry->properties = shim_str_n(member.ptr + pair.len + 1, member.len - pair.len - 1);
    while (shim_str_split(&rest, ';', &part)) {
        if (!read_pair(part, &key, &value, &has_value))
            return false;
    }
    return true;
}

/* Malformed members are skipped. */
static bool next_entry(struct shim_str *rest, struct entry *ret_entry)
{
    struct shim_str member;
    while (shim_str_split(rest, ',', &member)) {
        if (read_member(member, ret_entry))
            return true;
    }
    return false;
}

bool shim_baggage_next(struct shim_str *rest, struct shim_str *ret_key, struct shim_str *ret_value)
{
    struct entry entry;
    if (!next_entry(rest, &entry))
        return false;
    *ret_key = entry.key;
    *ret_value = entry.value;
    return true;
}

size_t shim_baggage_decode(char *dst, size_t cap, struct shim_str value)
{
    struct shim_out out = {.data = dst, .cap = cap};
    for (size_t i = 0; i < value.len && !out.truncated; i++) {
        uint8_t byte;
        if (value.ptr[i] == '%' && value.len - i > 2 &&
            shim_hex_decode_nocase(&byte, value.ptr + i + 1, 1)) {
            shim_out_add_char(&out, (char)byte);
            i += 2;
        } else {
            shim_out_add_char(&out, value.ptr[i]);
        }
    }
    return out.len;
}

static void add_value(struct shim_out *out, struct shim_str value, bool keep_percent)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.len && !out->truncated; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (is_value_byte((char)c) && (c != '%' || keep_percent)) {
            shim_out_add_char(out, (char)c);
            continue;
        }
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        shim_out_add(out, shim_str_n(escape, sizeof(escape)));
    }
}

static void add_key(struct shim_out *out, struct shim_str key)
{
    if (out->len > 0)
        shim_out_add_char(out, ',');
    shim_out_add(out, key);
    shim_out_add_char(out, '=');
}

/* Behind a member that began at `start`: takes it back whole when it did not fit. */
static bool end_member(struct shim_out *out, size_t start)
{
    bool fits = !out->truncated;
    if (!fits)
        shim_out_rewind(out, start);
    return fits;
}

static bool add_entry(struct shim_out *out, const struct entry *entry)
{
    size_t start = out->len;
    add_key(out, entry->key);
    shim_out_add(out, entry->value);
    struct shim_str rest = entry->properties;
    struct shim_str part, key, value;
    bool has_value;
    while (shim_str_split(&rest, ';', &part)) {
        read_pair(part, &key, &value, &has_value);
        shim_out_add_char(out, ';');
        shim_out_add(out, key);
        if (has_value) {
            shim_out_add_char(out, '=');
            shim_out_add(out, value);
        }
    }
    return end_member(out, start);
}

static bool add_plain(struct shim_out *out, struct shim_str key, struct shim_str value,
                      bool keep_percent)
{
    size_t start = out->len;
    add_key(out, key);
    add_value(out, value, keep_percent);
    return end_member(out, start);
}

/* The members of a list but those of one key (NULL: all), as far as they fit. Returns how many
 * there are then. */
static unsigned add_list(struct shim_out *out, unsigned count, struct shim_str list,
                         const struct shim_str *without)
{
    struct entry entry;
    while (count < MEMBERS_MAX && next_entry(&list, &entry)) {
        if (without && shim_str_equal(entry.key, *without))
            continue;
        if (!add_entry(out, &entry))
            break;
        count++;
    }
    return count;
}

static size_t limited(size_t cap)
{
    return cap < SHIM_BAGGAGE_MAX ? cap : SHIM_BAGGAGE_MAX;
}

size_t shim_baggage_normalise(char *dst, size_t cap, struct shim_str value)
{
    struct shim_out out = {.data = dst, .cap = limited(cap)};
    add_list(&out, 0, value, NULL);
    return out.len;
}

size_t shim_baggage_set(char *dst, size_t cap, struct shim_str baggage, struct shim_str key,
                        struct shim_str value)
{
    struct shim_out out = {.data = dst, .cap = limited(cap)};
    if (!is_token(key))
        return shim_baggage_normalise(dst, cap, baggage);
    unsigned count = add_list(&out, 0, baggage, &key);
    if (!value.ptr)
        return out.len;
    /* No room for it: better the old value of the key than none. */
    if (count == MEMBERS_MAX || !add_plain(&out, key, value, false))
        return shim_baggage_normalise(dst, cap, baggage);
    return out.len;
}

bool shim_baggage_begin(struct shim_baggage_builder *builder, const struct shim_carried *from,
                        size_t room)
{
    struct shim_str tracestate = shim_carried_tracestate(from);
    struct shim_str baggage = shim_carried_baggage(from);
    size_t cap = limited(baggage.len + 1 + limited(room));
    struct shim_carried *carried = shim_carried_alloc(tracestate.len + cap);
    if (!carried)
        return false;
    carried->debug = from && from->debug;
    if (tracestate.len > 0)
        memcpy(carried->text, tracestate.ptr, tracestate.len);
    carried->tracestate = shim_str_n(carried->text, tracestate.len);
    *builder = (struct shim_baggage_builder){
        .carried = carried,
        .out = {.data = carried->text + tracestate.len, .cap = cap},
    };
    builder->count = add_list(&builder->out, 0, baggage, NULL);
    builder->old_count = builder->count;
    return true;
}

void shim_baggage_add_list(struct shim_baggage_builder *builder, struct shim_str list)
{
    builder->count = add_list(&builder->out, builder->count, list, NULL);
}

void shim_baggage_add_encoded(struct shim_baggage_builder *builder, struct shim_str key,
                              struct shim_str value)
{
    struct shim_str rest = shim_str_n(builder->out.data, builder->out.len);
    struct entry entry;
    if (builder->count == MEMBERS_MAX || !is_token(key))
        return;
    while (next_entry(&rest, &entry)) {
        if (shim_str_equal(entry.key, key))
            return;
    }
    if (add_plain(&builder->out, key, value, true))
        builder->count++;
}

bool shim_baggage_end(struct shim_baggage_builder *builder, struct shim_context *context)
{
    if (builder->count == builder->old_count) {
        shim_carried_unref(builder->carried);
        return false;
    }
    builder->carried->baggage = shim_str_n(builder->out.data, builder->out.len);
    shim_context_take_carried(context, builder->carried);
    return true;
}

static void inject(const struct shim_context *context, struct shim_headers *headers)
{
    struct shim_str baggage = shim_carried_baggage(context->carried);
    if (baggage.len == 0)
        return;
    char *value = shim_headers_add(headers, shim_str("baggage"), baggage.len, true);
    if (value)
        memcpy(value, baggage.ptr, baggage.len);
}

static bool extract(const struct shim_carrier *carrier, struct shim_context *context)
{
    struct shim_str value;
    struct shim_baggage_builder builder;
    size_t room = 0;
    for (unsigned i = 0; carrier->get(carrier, shim_str("baggage"), i, &value); i++)
        room += value.len + 1;
    if (room == 0 || !shim_baggage_begin(&builder, context->carried, room))
        return false;
    for (unsigned i = 0; carrier->get(carrier, shim_str("baggage"), i, &value); i++)
        shim_baggage_add_list(&builder, value);
    return shim_baggage_end(&builder, context);
}

const struct shim_propagator shim_propagator_baggage = {
    .name = "baggage",
    .bit = 1 << 1,
    .fields = fields,
    .inject = inject,
    .extract = extract,
};
