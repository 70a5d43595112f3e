/* The parser of one HTTP/1.x response. A state machine over single bytes outside bodies, so that it
 * does not matter where the network cuts; bodies are copied in runs. What the framing of a message
 * hangs on (Content-Length, Transfer-Encoding, chunk sizes) is read strictly, since a wrong guess
 * there takes the next answer for a part of this one; all else is tolerated. Knows no socket. Any
 * thread. */
#include "http1.h"

#include <errno.h>

enum state {
    STATE_STATUS_LINE,
    STATE_HEADER,
    STATE_LENGTH,
    STATE_UNTIL_CLOSE,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_DATA,
    STATE_CHUNK_END,
    STATE_TRAILER,
    STATE_DONE,
    STATE_FAILED,
};

/* How an answer begins: anything else is known to be no HTTP/1 before its line ends. */
static const char PROTOCOL[] = "HTTP/1.";
#define PROTOCOL_LEN (sizeof(PROTOCOL) - 1)

void shim_http1_init(struct shim_http1_response *response, char *body, size_t body_cap,
                     bool head_request)
{
    memset(response, 0, offsetof(struct shim_http1_response, line));
    response->body = body;
    response->body_cap = body_cap;
    response->head_request = head_request;
}

/* HTTP/1.x SP 3DIGIT [SP reason] (RFC 9112 section 4); an empty reason often comes without its
 * space. */
static int status_line_end(struct shim_http1_response *response, struct shim_str line)
{
    const size_t status_at = PROTOCOL_LEN + 2;
    if (line.len < status_at + 3 || line.ptr[status_at - 1] != ' ' ||
        (line.len > status_at + 3 && line.ptr[status_at + 3] != ' '))
        return -EPROTO;
    char minor = line.ptr[PROTOCOL_LEN];
    unsigned long long status;
    if (minor < '0' || minor > '9' ||
        shim_str_to_u64(shim_str_n(line.ptr + status_at, 3), &status) < 0 || status < 100)
        return -EPROTO;
    response->status = (int)status;
    response->http10 = minor == '0';
    response->state = STATE_HEADER;
    return 0;
}

/* "5, 5" or two equal lines come from proxies that merge; differing ones are a fault or an attack.
 */
static int content_length_read(struct shim_http1_response *response, struct shim_str value)
{
    struct shim_str part;
    if (value.len == 0 || response->chunked)
        return -EPROTO;
    while (shim_str_split(&value, ',', &part)) {
        unsigned long long length;
        if (shim_str_to_u64(shim_str_trim(part), &length) < 0 ||
            (response->has_content_length && response->content_length != length))
            return -EPROTO;
        response->has_content_length = true;
        response->content_length = length;
    }
    return 0;
}

/* Nothing but chunked was ever asked for; and with a length beside it, two readers of the message
 * could disagree about where it ends. */
static int transfer_encoding_read(struct shim_http1_response *response, struct shim_str value)
{
    if (response->chunked || response->has_content_length ||
        !shim_str_equal_nocase(value, shim_str("chunked")))
        return -EPROTO;
    response->chunked = true;
    return 0;
}

static int connection_read(struct shim_http1_response *response, struct shim_str value)
{
    struct shim_str part;
    while (shim_str_split(&value, ',', &part)) {
        part = shim_str_trim(part);
        if (shim_str_equal_nocase(part, shim_str("close")))
            response->said_close = true;
        else if (shim_str_equal_nocase(part, shim_str("keep-alive")))
            response->said_keep_alive = true;
    }
    return 0;
}

static int text_keep(char *dst, size_t cap, struct shim_str value)
{
    size_t len = value.len < cap ? value.len : cap - 1;
    if (len > 0)
        memcpy(dst, value.ptr, len);
    dst[len] = '\0';
    return 0;
}

static int header_end(struct shim_http1_response *response, struct shim_str line, bool whole)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon || colon == line.ptr)
        return -EPROTO;
    struct shim_str name = shim_str_n(line.ptr, (size_t)(colon - line.ptr));
    /* A blank before the colon, or a line that goes on the one before: readers differ about these.
     */
    if (memchr(name.ptr, ' ', name.len) || memchr(name.ptr, '\t', name.len))
        return -EPROTO;
    struct shim_str value = shim_str_trim(shim_str_n(colon + 1, line.len - name.len - 1));

    bool length = shim_str_equal_nocase(name, shim_str("content-length"));
    bool transfer = shim_str_equal_nocase(name, shim_str("transfer-encoding"));
    if ((length || transfer) && !whole)
        return -EPROTO;
    if (length)
        return content_length_read(response, value);
    if (transfer)
        return transfer_encoding_read(response, value);
    if (shim_str_equal_nocase(name, shim_str("connection")))
        return connection_read(response, value);
    if (shim_str_equal_nocase(name, shim_str("content-type")))
        return text_keep(response->content_type, sizeof(response->content_type), value);
    if (shim_str_equal_nocase(name, shim_str("content-encoding")))
        return text_keep(response->content_encoding, sizeof(response->content_encoding), value);
    if (shim_str_equal_nocase(name, shim_str("retry-after")))
        return text_keep(response->retry_after, sizeof(response->retry_after), value);
    return 0;
}

/* An interim answer (1xx) says nothing about the one that follows. */
static void head_forget(struct shim_http1_response *response)
{
    response->status = 0;
    response->chunked = response->has_content_length = false;
    response->content_length = 0;
    response->said_close = response->said_keep_alive = false;
    response->content_type[0] = response->content_encoding[0] = response->retry_after[0] = '\0';
    response->state = STATE_STATUS_LINE;
}

/* How the body's end is told, RFC 9112 section 6.3. */
static void head_end(struct shim_http1_response *response)
{
    int status = response->status;
    if (status < 200 && status != 101) {
        head_forget(response);
        return;
    }
    response->keep_alive =
        !response->said_close && (!response->http10 || response->said_keep_alive);
    /* Chunks from HTTP/1.0: something in between may have passed on what it did not understand. */
    if (status == 101 || (response->http10 && response->chunked))
        response->keep_alive = false;

    if (response->head_request || status == 101 || status == 204 || status == 304) {
        response->state = STATE_DONE;
    } else if (response->chunked) {
        response->state = STATE_CHUNK_SIZE;
    } else if (response->has_content_length) {
        response->chunk_left = response->content_length;
        response->state = response->chunk_left > 0 ? STATE_LENGTH : STATE_DONE;
    } else {
        response->keep_alive = false;
        response->state = STATE_UNTIL_CLOSE;
    }
}

/* 1*HEXDIG, then nothing, blanks or an extension, which is ignored. */
static int chunk_size_end(struct shim_http1_response *response, struct shim_str line)
{
    uint64_t size = 0;
    size_t digits = 0;
    for (; digits < line.len; digits++) {
        char c = line.ptr[digits], lower = (char)(c | 0x20);
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            digit = (unsigned)(lower - 'a') + 10;
        else
            break;
        if (size >> 60)
            return -EPROTO;
        size = size << 4 | digit;
    }
    struct shim_str rest = shim_str_trim(shim_str_n(line.ptr + digits, line.len - digits));
    if (digits == 0 || (rest.len > 0 && rest.ptr[0] != ';'))
        return -EPROTO;
    response->chunk_left = size;
    response->state = size > 0 ? STATE_CHUNK_DATA : STATE_TRAILER;
    return 0;
}

static int line_end(struct shim_http1_response *response)
{
    size_t len = response->line_len;
    bool whole = len <= sizeof(response->line);
    if (!whole)
        len = sizeof(response->line);
    else if (len > 0 && response->line[len - 1] == '\r')
        len--;
    response->line_len = 0;
    struct shim_str line = shim_str_n(response->line, len);
    switch (response->state) {
    case STATE_STATUS_LINE:
        return status_line_end(response, line);
    case STATE_HEADER:
        if (len > 0)
            return header_end(response, line, whole);
        head_end(response);
        return 0;
    case STATE_CHUNK_SIZE:
        return whole ? chunk_size_end(response, line) : -EPROTO;
    case STATE_CHUNK_END:
        response->state = STATE_CHUNK_SIZE;
        return len == 0 ? 0 : -EPROTO;
    default: /* STATE_TRAILER: nothing in there is of use */
        if (len == 0)
            response->state = STATE_DONE;
        return 0;
    }
}

/* One byte of a line. A NUL or a CR that ends no line is what smuggling is made of. */
static int line_byte(struct shim_http1_response *response, char c)
{
    if (response->state == STATE_STATUS_LINE || response->state == STATE_HEADER ||
        response->state == STATE_TRAILER) {
        if (++response->head_len > SHIM_HTTP1_HEAD_MAX)
            return -EPROTO;
    }
    if (c == '\n')
        return line_end(response);
    size_t at = response->line_len++;
    bool after_cr = at > 0 && at <= sizeof(response->line) && response->line[at - 1] == '\r';
    if (c == '\0' || after_cr)
        return -EPROTO;
    if (response->state == STATE_STATUS_LINE && at < PROTOCOL_LEN && c != PROTOCOL[at])
        return -EPROTO;
    if (response->state == STATE_CHUNK_END && (at > 0 || c != '\r'))
        return -EPROTO;
    if (at < sizeof(response->line))
        response->line[at] = c;
    else if (response->state == STATE_CHUNK_SIZE)
        return -EPROTO;
    return 0;
}

/* Copies a run of the body; what does not fit is counted. Returns how much belonged to it. */
static size_t body_take(struct shim_http1_response *response, const char *data, size_t len)
{
    if (response->state != STATE_UNTIL_CLOSE) {
        if (len > response->chunk_left)
            len = (size_t)response->chunk_left;
        response->chunk_left -= len;
    }
    size_t room = response->body_cap - response->body_len;
    size_t kept = len < room ? len : room;
    if (kept > 0)
        memcpy(response->body + response->body_len, data, kept);
    response->body_len += kept;
    response->body_total += len;
    if (response->state == STATE_LENGTH && response->chunk_left == 0)
        response->state = STATE_DONE;
    else if (response->state == STATE_CHUNK_DATA && response->chunk_left == 0)
        response->state = STATE_CHUNK_END;
    return len;
}

int shim_http1_feed(struct shim_http1_response *response, const char *data, size_t len,
                    size_t *ret_used)
{
    size_t used = 0;
    while (used < len && response->state < STATE_DONE) {
        if (response->state == STATE_LENGTH || response->state == STATE_UNTIL_CLOSE ||
            response->state == STATE_CHUNK_DATA)
            used += body_take(response, data + used, len - used);
        else if (line_byte(response, data[used++]) < 0)
            response->state = STATE_FAILED;
    }
    *ret_used = used;
    if (response->state == STATE_FAILED)
        return -EPROTO;
    return response->state == STATE_DONE;
}

int shim_http1_eof(struct shim_http1_response *response)
{
    if (response->state == STATE_UNTIL_CLOSE)
        response->state = STATE_DONE;
    return response->state == STATE_DONE ? 1 : -EPROTO;
}
