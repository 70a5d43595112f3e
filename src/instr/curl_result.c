/* What a span says of a transfer's end: how it ended, who answered, how long each step took. Asks
 * libcurl only. The host's threads. */
#include "instr/curl.h"

#include "config/config.h"

#include <string.h>

#define GETINFO SHIM_CURL_GETINFO

static long get_long(const struct curl_handle *handle, CURLINFO info)
{
    long value = 0;
    return GETINFO(handle)(handle->easy, info, &value) == CURLE_OK ? value : 0;
}

/* Seconds from the start of the transfer; the names are those of curl's --write-out. */
static void add_time(const struct curl_handle *handle, CURLINFO info, const char *key,
                     size_t key_len)
{
    curl_off_t microseconds = 0;
    if (GETINFO(handle)(handle->easy, info, &microseconds) == CURLE_OK && microseconds > 0)
        shim_span_add_double_n(handle->span, key, key_len, (double)microseconds / 1e6);
}
#define ADD_TIME(handle, info, key) add_time(handle, info, key, sizeof(key) - 1)

static void add_times(const struct curl_handle *handle)
{
    ADD_TIME(handle, CURLINFO_STARTTRANSFER_TIME_T, "curl.time_starttransfer");
    if (get_long(handle, CURLINFO_NUM_CONNECTS) == 0)
        return;
    ADD_TIME(handle, CURLINFO_NAMELOOKUP_TIME_T, "curl.time_namelookup");
    ADD_TIME(handle, CURLINFO_CONNECT_TIME_T, "curl.time_connect");
    ADD_TIME(handle, CURLINFO_APPCONNECT_TIME_T, "curl.time_appconnect");
}

static void encode_str(struct curl_answer *answer, const char *key, const char *value)
{
    size_t len =
        shim_span_encode_str(answer->encoded + answer->len, sizeof(answer->encoded) - answer->len,
                             shim_str(key), shim_str(value));
    answer->len += len;
    answer->count += len != 0;
}

static void encode_int(struct curl_answer *answer, const char *key, long value)
{
    size_t len = shim_span_encode_int(answer->encoded + answer->len,
                                      sizeof(answer->encoded) - answer->len, shim_str(key), value);
    answer->len += len;
    answer->count += len != 0;
}

static void encode_answer(struct curl_answer *answer)
{
    static const char *const versions[] = {
        [CURL_HTTP_VERSION_1_0] = "1.0",
        [CURL_HTTP_VERSION_1_1] = "1.1",
        [CURL_HTTP_VERSION_2_0] = "2",
        [CURL_HTTP_VERSION_3] = "3",
    };
    long version = answer->version;
    answer->len = answer->count = 0;
    if (answer->status > 0)
        encode_int(answer, "http.response.status_code", answer->status);
    if (answer->address[0]) {
        encode_str(answer, "network.peer.address", answer->address);
        encode_int(answer, "network.peer.port", answer->port);
    }
    if (version > 0 && version < (long)(sizeof(versions) / sizeof(*versions)) && versions[version])
        encode_str(answer, "network.protocol.version", versions[version]);
}

/* Status, peer and version are mostly those of the answer before. Returns the status. */
static long add_answer(struct curl_handle *handle)
{
    struct curl_answer *answer = &handle->answer;
    long status = get_long(handle, CURLINFO_RESPONSE_CODE);
    long port = get_long(handle, CURLINFO_PRIMARY_PORT);
    long version = get_long(handle, CURLINFO_HTTP_VERSION);
    char *address = NULL;
    if (GETINFO(handle)(handle->easy, CURLINFO_PRIMARY_IP, &address) != CURLE_OK || !address ||
        strlen(address) >= sizeof(answer->address))
        address = "";
    if (status != answer->status || port != answer->port || version != answer->version ||
        strcmp(address, answer->address) != 0) {
        answer->status = status;
        answer->port = port;
        answer->version = version;
        strcpy(answer->address, address);
        encode_answer(answer);
    }
    shim_span_add_encoded(handle->span, answer->encoded, answer->len, answer->count);
    return status;
}

static void add_error(struct curl_handle *handle, const char *type, const char *description)
{
    shim_span_add_str(handle->span, "error.type", shim_str(type));
    shim_span_set_status(handle->span, SHIM_STATUS_ERROR, shim_str(description));
}

static void add_response_headers(const struct curl_handle *handle)
{
    struct shim_str rest = shim_str(shim_config.capture_response_headers), name;
    typeof(&curl_easy_header) get_header = REAL_OF(handle->library, curl_easy_header);
    while (get_header && shim_str_split(&rest, ',', &name)) {
        char text[128];
        struct shim_str values[8];
        struct curl_header *header;
        unsigned count = 0;
        name = shim_str_trim(name);
        if (name.len >= sizeof(text))
            continue;
        memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        while (count < 8 &&
               get_header(handle->easy, text, count, CURLH_HEADER, -1, &header) == CURLHE_OK)
            values[count++] = shim_str(header->value);
        shim_http_add_header(handle->span, "http.response.header.", name, values, count);
    }
}

void shim_curl_result_add(struct curl_handle *handle, CURLcode code)
{
    struct shim_span *span = handle->span;
    long status = add_answer(handle);
    if (code == CURLE_OK || code == CURLE_HTTP_RETURNED_ERROR) {
        shim_http_add_client_error(span, status);
    } else {
        const char *name = shim_curl_code_name(code);
        typeof(&curl_easy_strerror) describe = REAL_OF(handle->library, curl_easy_strerror);
        add_error(handle, name ? name : "_OTHER", describe ? describe(code) : "");
    }
    add_times(handle);
    long redirects = handle->settings.follows ? get_long(handle, CURLINFO_REDIRECT_COUNT) : 0;
    if (redirects > 0)
        shim_span_add_int(span, "http.request.resend_count", redirects);
    add_response_headers(handle);
}

/* libcurl has got all that was announced. */
static bool is_complete(const struct curl_handle *handle)
{
    curl_off_t announced = -1, received = 0;
    return GETINFO(handle)(handle->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) ==
               CURLE_OK &&
           GETINFO(handle)(handle->easy, CURLINFO_SIZE_DOWNLOAD_T, &received) == CURLE_OK &&
           announced >= 0 && announced == received;
}

void shim_curl_result_add_unread(struct curl_handle *handle)
{
    bool is_answered = get_long(handle, CURLINFO_RESPONSE_CODE) > 0;
    if (is_answered && (handle->is_done || is_complete(handle))) {
        shim_curl_result_add(handle, CURLE_OK);
        return;
    }
    add_answer(handle);
    add_error(handle, handle->is_done ? "_OTHER" : "cancelled", "");
    add_times(handle);
}
