/* Header lines that are the same for each request. Built once; whatever a user wrote is checked
 * here, so that no value can begin a header or a request of its own. Knows no socket. Exporter
 * thread only. */
#include "export/request_head.h"

#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>

static const char USER_AGENT[] =
    "User-Agent: " SHIM_NAME "/" SHIM_VERSION " OTel-OTLP-Exporter-C/" SHIM_VERSION "\r\n";

/* Ours to set: a second one would make the request ambiguous. */
static const char *const RESERVED[] = {
    "Connection",       "Content-Encoding",
    "Content-Length",   "Content-Type",
    "Expect",           "Host",
    "Proxy-Connection", "TE",
    "Trailer",          "Transfer-Encoding",
    "Upgrade",          "User-Agent",
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

size_t shim_request_decode(char *dst, struct shim_str text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' && i + 2 < text.len && hex_value(text.ptr[i + 1]) >= 0 &&
            hex_value(text.ptr[i + 2]) >= 0) {
            dst[len++] = (char)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
            i += 2;
        } else {
            dst[len++] = text.ptr[i];
        }
    }
    return len;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(struct shim_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static bool is_reserved(struct shim_str name)
{
    for (size_t i = 0; i < sizeof(RESERVED) / sizeof(RESERVED[0]); i++)
        if (shim_str_equal_nocase(name, shim_str(RESERVED[i])))
            return true;
    return false;
}

/* Why the header cannot be sent; NULL: it can. */
static const char *objection(struct shim_str name, struct shim_str value)
{
    if (!is_token(name))
        return "not a header name";
    if (is_reserved(name))
        return "set by " SHIM_NAME " itself";
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "control character in the value";
    }
    return NULL;
}

/* `text` has room for the member and four bytes more. The value itself, which may be a secret, is
 * never shown. */
static size_t member_add(char *text, struct shim_str member, bool *ret_authorization,
                         char *ret_message)
{
    const char *equals = memchr(member.ptr, '=', member.len);
    struct shim_str name = {0};
    const char *why = "no \"=\"";
    if (equals) {
        name = shim_str_trim(shim_str_n(member.ptr, (size_t)(equals - member.ptr)));
        struct shim_str written =
            shim_str_trim(shim_str_n(equals + 1, member.len - (size_t)(equals + 1 - member.ptr)));
        char *value = text + name.len + 2;
        size_t value_len = shim_request_decode(value, written);
        why = objection(name, shim_str_n(value, value_len));
        if (!why) {
            memcpy(text, name.ptr, name.len);
            memcpy(text + name.len, ": ", 2);
            memcpy(value + value_len, "\r\n", 2);
            if (shim_str_equal_nocase(name, shim_str("authorization")))
                *ret_authorization = true;
            return name.len + 2 + value_len + 2;
        }
    }
    if (ret_message[0] == '\0')
        snprintf(ret_message, SHIM_REQUEST_MESSAGE,
                 "OTEL_EXPORTER_OTLP_HEADERS: header \"%.*s\" left out: %s",
                 name.len < 64 ? (int)name.len : 64, name.ptr ? name.ptr : "", why);
    return 0;
}

static size_t headers_add(char *text, const char *headers, bool *ret_authorization,
                          char *ret_message)
{
    size_t len = 0;
    struct shim_str rest = shim_str(headers), member;
    while (shim_str_split(&rest, ',', &member)) {
        member = shim_str_trim(member);
        if (member.len > 0)
            len += member_add(text + len, member, ret_authorization, ret_message);
    }
    return len;
}

static size_t base64(char *dst, const char *src, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < len ? (unsigned char)src[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            dst[at++] = i + k <= len ? digits[bits >> (18 - 6 * k) & 63] : '=';
    }
    return at;
}

/* Basic credentials (RFC 7617): user and password are percent-decoded, the colon stays. */
static size_t authorization_add(char *text, struct shim_str userinfo)
{
    static const char name[] = "Authorization: Basic ";
    char *plain = malloc(userinfo.len + 1);
    if (!plain)
        return 0;
    size_t len = shim_request_decode(plain, userinfo);
    if (!memchr(userinfo.ptr, ':', userinfo.len))
        plain[len++] = ':';
    memcpy(text, name, sizeof(name) - 1);
    size_t at = sizeof(name) - 1;
    at += base64(text + at, plain, len);
    memcpy(text + at, "\r\n", 2);
    free(plain);
    return at + 2;
}

char *shim_request_head_new(const struct shim_url *url, const char *headers, char *ret_message)
{
    bool authorization = false;
    size_t headers_len = strlen(headers), commas = 1;
    ret_message[0] = '\0';
    for (size_t i = 0; i < headers_len; i++)
        commas += headers[i] == ',';
    char *text = malloc(sizeof(USER_AGENT) + headers_len + 4 * commas + 64 + 2 * url->userinfo.len);
    if (!text)
        return NULL;
    size_t len = sizeof(USER_AGENT) - 1;
    memcpy(text, USER_AGENT, len);
    len += headers_add(text + len, headers, &authorization, ret_message);
    if (!authorization && url->userinfo.len > 0)
        len += authorization_add(text + len, url->userinfo);
    text[len] = '\0';
    return text;
}
