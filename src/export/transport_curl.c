/* The transport for https:// and proxies, by libcurl. One easy handle in one multi handle of ours,
 * so that the connection is kept and so that libcurl never reads from its wake-up pair, whose
 * numbers a host may have closed and given to something else. Knows nothing of what it sends.
 * Exporter thread only. */
#include "base/clock.h"
#include "base/fd.h"
#include "export/curl_library.h"
#include "export/exporter.h"
#include "export/gzip.h"
#include "export/proxy.h"
#include "export/request_head.h"
#include "export/transport.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Kept connections and those being tried at the same time (happy eyeballs: two). */
#define SOCKETS_MAX 8

/* Where the user allows any time: for the connection only. */
#define CONNECT_MAX_MS 30000L

struct curl_transport {
    struct shim_transport transport;
    const struct shim_curl_library *curl;
    const struct shim_config *config;
    _Atomic uint32_t *phase;
    char *lines; /* header lines that never change */
    struct shim_url url;

    CURLM *multi; /* NULL: made by the next post */
    CURL *easy;
    struct shim_fd socket[SOCKETS_MAX];

    /* Of the post in progress. */
    const struct shim_post *post;
    struct shim_post_result *result;
    unsigned piece;
    size_t offset;
    bool sending;
    bool too_long;
    char content_encoding[32];
    char error[CURL_ERROR_SIZE];
    char body[SHIM_POST_BODY_MAX];
    char inflated[SHIM_POST_BODY_MAX];
};

static void phase_set(struct curl_transport *self, enum shim_export_phase phase)
{
    atomic_store_explicit(self->phase, phase, memory_order_relaxed);
}

/* ---- what libcurl calls ---- */

static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct curl_transport *self = data;
    (void)purpose;
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        if (self->socket[i].fd >= 0)
            continue;
        int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        if (fd < 0 || shim_fd_take(fd, &self->socket[i]) < 0)
            return CURL_SOCKET_BAD;
        return self->socket[i].fd;
    }
    return CURL_SOCKET_BAD;
}

static int on_close_socket(void *data, curl_socket_t fd)
{
    struct curl_transport *self = data;
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (self->socket[i].fd == fd)
            shim_fd_close(&self->socket[i]);
    return 0;
}

static size_t on_read(char *dst, size_t size, size_t count, void *data)
{
    struct curl_transport *self = data;
    size_t room = size * count, done = 0;
    self->sending = true;
    phase_set(self, SHIM_EXPORT_SENDING);
    while (done < room && self->piece < self->post->body_count) {
        const struct iovec *piece = &self->post->body[self->piece];
        size_t left = piece->iov_len - self->offset;
        size_t part = left < room - done ? left : room - done;
        memcpy(dst + done, (const char *)piece->iov_base + self->offset, part);
        done += part;
        self->offset += part;
        if (self->offset == piece->iov_len) {
            self->piece++;
            self->offset = 0;
        }
    }
    return done;
}

/* Only to the start: a kept connection turned out closed, the request goes out again. */
static int on_seek(void *data, curl_off_t offset, int origin)
{
    struct curl_transport *self = data;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    self->piece = 0;
    self->offset = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *data, size_t size, size_t count, void *user)
{
    struct curl_transport *self = user;
    size_t len = size * count, room = sizeof(self->body) - self->result->body_len;
    memcpy(self->body + self->result->body_len, data, len < room ? len : room);
    self->result->body_len += len < room ? len : room;
    self->too_long = len > room;
    return self->too_long ? 0 : len;
}

static bool header_keep(struct shim_str line, const char *name, char *dst, size_t cap)
{
    struct shim_str prefix = shim_str(name);
    if (!shim_str_starts_nocase(line, prefix) || line.len <= prefix.len ||
        line.ptr[prefix.len] != ':')
        return false;
    struct shim_str value =
        shim_str_trim(shim_str_n(line.ptr + prefix.len + 1, line.len - prefix.len - 1));
    size_t len = value.len < cap ? value.len : cap - 1;
    memcpy(dst, value.ptr, len);
    dst[len] = '\0';
    return true;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct curl_transport *self = user;
    struct shim_post_result *result = self->result;
    struct shim_str line = shim_str_n(data, size * count);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (shim_str_starts_nocase(line, shim_str("HTTP/"))) {
        /* A proxy's answer to CONNECT, or an interim one, was before. */
        result->content_type[0] = result->retry_after[0] = self->content_encoding[0] = '\0';
    } else if (!header_keep(line, "content-type", result->content_type,
                            sizeof(result->content_type)) &&
               !header_keep(line, "retry-after", result->retry_after,
                            sizeof(result->retry_after))) {
        header_keep(line, "content-encoding", self->content_encoding,
                    sizeof(self->content_encoding));
    }
    return size * count;
}

/* ---- the handle ---- */

static void sockets_forget(struct curl_transport *self)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        shim_fd_close(&self->socket[i]);
}

static bool sockets_are_ours(const struct curl_transport *self)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (self->socket[i].fd >= 0 && !shim_fd_is_ours(&self->socket[i]))
            return false;
    return true;
}

static void callbacks_set(struct curl_transport *self)
{
    __typeof__(&curl_easy_setopt) set = self->curl->easy_setopt;
    CURL *easy = self->easy;
    set(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    set(easy, CURLOPT_OPENSOCKETDATA, self);
    set(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    set(easy, CURLOPT_CLOSESOCKETDATA, self);
    set(easy, CURLOPT_READFUNCTION, on_read);
    set(easy, CURLOPT_READDATA, self);
    set(easy, CURLOPT_SEEKFUNCTION, on_seek);
    set(easy, CURLOPT_SEEKDATA, self);
    set(easy, CURLOPT_WRITEFUNCTION, on_write);
    set(easy, CURLOPT_WRITEDATA, self);
    set(easy, CURLOPT_HEADERFUNCTION, on_header);
    set(easy, CURLOPT_HEADERDATA, self);
    set(easy, CURLOPT_ERRORBUFFER, self->error);
}

static bool handle_make(struct curl_transport *self)
{
    __typeof__(&curl_easy_setopt) set = self->curl->easy_setopt;
    const struct shim_config *config = self->config;
    if (!self->multi)
        self->multi = self->curl->multi_init();
    if (self->multi && !self->easy)
        self->easy = self->curl->easy_init();
    if (!self->easy)
        return false;
    CURL *easy = self->easy;
    callbacks_set(self);
    set(easy, CURLOPT_URL, config->otlp_endpoint);
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_POST, 1L);
    set(easy, CURLOPT_MAXCONNECTS, 2L);
    set(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    if (!shim_proxy_applies(&self->url))
        set(easy, CURLOPT_PROXY, "");
    if (config->otlp_certificate[0])
        set(easy, CURLOPT_CAINFO, config->otlp_certificate);
    if (config->otlp_client_certificate[0])
        set(easy, CURLOPT_SSLCERT, config->otlp_client_certificate);
    if (config->otlp_client_key[0])
        set(easy, CURLOPT_SSLKEY, config->otlp_client_key);
    return true;
}

/* Where the host has closed a descriptor of ours, libcurl does not know: its farewell to the peer
 * would go into whatever has that number now. So the handles are left behind, once per such event.
 */
static bool handle_get(struct curl_transport *self)
{
    if (self->easy && sockets_are_ours(self))
        return true;
    if (self->easy) {
        self->easy = NULL;
        self->multi = NULL;
        sockets_forget(self);
    }
    return handle_make(self);
}

/* ---- one post ---- */

static bool list_add(const struct curl_transport *self, struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = self->curl->slist_append(*list, text);
    if (longer)
        *list = longer;
    return longer != NULL;
}

/* NULL: no memory. */
static struct curl_slist *headers_new(const struct curl_transport *self,
                                      const struct shim_post *post)
{
    struct curl_slist *list = NULL;
    char *line = malloc(strlen(self->lines) + 160);
    if (!line)
        return NULL;
    snprintf(line, 160, "Content-Type: %.100s", post->content_type);
    bool ok = list_add(self, &list, line) && list_add(self, &list, "Expect:");
    snprintf(line, 160, "Content-Encoding: %.100s",
             post->content_encoding ? post->content_encoding : "");
    if (post->content_encoding)
        ok = ok && list_add(self, &list, line);
    for (const char *at = self->lines; ok && *at;) {
        size_t len = strcspn(at, "\r");
        memcpy(line, at, len);
        line[len] = '\0';
        /* libcurl takes "Name:" as "leave it out", and "Name;" as a header without a value. */
        if (len > 1 && strcmp(line + len - 2, ": ") == 0 && strchr(line, ':') == line + len - 2)
            strcpy(line + len - 2, ";");
        ok = list_add(self, &list, line);
        at += len + 2;
    }
    free(line);
    if (!ok) {
        self->curl->slist_free_all(list);
        return NULL;
    }
    return list;
}

static void timeouts_set(struct curl_transport *self, uint64_t deadline_ns)
{
    long timeout_ms = 0, connect_ms = CONNECT_MAX_MS;
    if (deadline_ns != UINT64_MAX) {
        uint64_t now = shim_clock_now();
        timeout_ms = deadline_ns > now ? (long)((deadline_ns - now) / 1000000) : 0;
        timeout_ms = timeout_ms > 0 ? timeout_ms : 1; /* 0 would be for ever */
        connect_ms = timeout_ms;
    }
    self->curl->easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    self->curl->easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
}

/* curl_easy_perform without its wake-up pair: curl_multi_wait does not look at that,
 * curl_multi_poll does. */
static CURLcode perform(struct curl_transport *self)
{
    const struct shim_curl_library *curl = self->curl;
    int running = 1, queued, ready;
    if (curl->multi_add_handle(self->multi, self->easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    CURLMcode code = curl->multi_perform(self->multi, &running);
    while (code == CURLM_OK && running > 0) {
        code = curl->multi_wait(self->multi, NULL, 0, 1000, &ready);
        /* Without anything to wait for it returns at once: a resolver's thread is at work. */
        if (code == CURLM_OK && ready == 0 && self->socket[0].fd < 0)
            poll(NULL, 0, 2);
        if (code == CURLM_OK)
            code = curl->multi_perform(self->multi, &running);
    }
    CURLcode result = CURLE_FAILED_INIT;
    CURLMsg *message;
    while ((message = curl->multi_info_read(self->multi, &queued)))
        if (message->msg == CURLMSG_DONE && message->easy_handle == self->easy)
            result = message->data.result;
    curl->multi_remove_handle(self->multi, self->easy);
    return result;
}

static void answered(struct curl_transport *self)
{
    struct shim_post_result *result = self->result;
    long status = 0;
    self->curl->easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    result->outcome = SHIM_POST_ANSWERED;
    result->status = (int)status;
    result->body = self->body;
    struct shim_str encoding = shim_str(self->content_encoding);
    if (encoding.len > 0 && !shim_str_equal_nocase(encoding, shim_str("identity"))) {
        size_t packed_len = result->body_len;
        result->body = self->inflated;
        if (shim_gzip_inflate(self->body, packed_len, self->inflated, sizeof(self->inflated),
                              &result->body_len) < 0)
            result->body_len = 0;
    }
}

static void failed(struct curl_transport *self, CURLcode code)
{
    struct shim_post_result *result = self->result;
    const char *why = self->error[0] ? self->error : self->curl->easy_strerror(code);
    if (!self->sending)
        result->outcome = SHIM_POST_UNREACHABLE;
    else if (code == CURLE_OPERATION_TIMEDOUT)
        result->outcome = SHIM_POST_TIMEOUT;
    else
        result->outcome = SHIM_POST_BROKEN;
    snprintf(result->message, sizeof(result->message), "%.*s", (int)strcspn(why, "\r\n"), why);
    result->body_len = 0;
}

static void transport_post(struct shim_transport *transport, const struct shim_post *post,
                           struct shim_post_result *ret_result)
{
    struct curl_transport *self = (struct curl_transport *)transport;
    memset(ret_result, 0, sizeof(*ret_result));
    self->post = post;
    self->result = ret_result;
    self->piece = 0;
    self->offset = 0;
    self->sending = self->too_long = false;
    self->content_encoding[0] = self->error[0] = '\0';
    struct curl_slist *headers = headers_new(self, post);
    if (!headers || !handle_get(self)) {
        failed(self, CURLE_OUT_OF_MEMORY);
        self->curl->slist_free_all(headers);
        return;
    }
    self->curl->easy_setopt(self->easy, CURLOPT_HTTPHEADER, headers);
    self->curl->easy_setopt(self->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body_len);
    timeouts_set(self, post->deadline_ns);
    phase_set(self, SHIM_EXPORT_CONNECTING);
    CURLcode code = perform(self);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && self->too_long))
        answered(self);
    else
        failed(self, code);
    self->curl->easy_setopt(self->easy, CURLOPT_HTTPHEADER, NULL);
    self->curl->slist_free_all(headers);
    phase_set(self, SHIM_EXPORT_IDLE);
}

static void transport_free(struct shim_transport *transport)
{
    struct curl_transport *self = (struct curl_transport *)transport;
    if (sockets_are_ours(self)) {
        if (self->easy)
            self->curl->easy_cleanup(self->easy);
        if (self->multi)
            self->curl->multi_cleanup(self->multi);
    }
    sockets_forget(self);
    free(self->lines);
    free(self);
}

struct shim_transport *shim_transport_curl_new(const struct shim_config *config,
                                               _Atomic uint32_t *phase, char *ret_message)
{
    struct shim_url url;
    ret_message[0] = '\0';
    if (shim_url_parse(shim_str(config->otlp_endpoint), &url) < 0 ||
        (!shim_str_equal_nocase(url.scheme, shim_str("https")) &&
         !shim_str_equal_nocase(url.scheme, shim_str("http")))) {
        snprintf(ret_message, SHIM_REQUEST_MESSAGE, "the endpoint is no http:// or https:// URL");
        return NULL;
    }
    const struct shim_curl_library *curl = shim_curl_library_get(ret_message);
    if (!curl)
        return NULL;
    struct curl_transport *self = calloc(1, sizeof(*self));
    char *lines = shim_request_head_new(&url, config->otlp_headers, ret_message);
    if (!self || !lines) {
        snprintf(ret_message, SHIM_REQUEST_MESSAGE, "no memory");
        free(self);
        free(lines);
        return NULL;
    }
    self->transport = (struct shim_transport){transport_post, transport_free};
    self->curl = curl;
    self->config = config;
    self->phase = phase;
    self->lines = lines;
    self->url = url;
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        self->socket[i] = SHIM_FD_NONE;
    return &self->transport;
}
