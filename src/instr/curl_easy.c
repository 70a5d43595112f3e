/* libcurl's easy interface: follows what an application sets on a handle, and makes a CLIENT span
 * of each transfer. Must not know how a span is stored or sent. The host's threads. */
#include "instr/curl.h"

#include "base/ptrmap.h"
#include "config/config.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

SHIM_LIBRARY_SET_DEFINE(curl, SHIM_CURL_FUNCTIONS);

const struct shim_instrumentation shim_instr_curl = {"curl", SHIM_FAMILY_CURL, NULL};

static struct shim_ptrmap handles;

struct curl_handle *shim_curl_handle_get(CURL *easy)
{
    return shim_ptrmap_find(&handles, easy);
}

/* The library that a call means: the one that made the handle; for a handle not seen, the caller's.
 */
static const struct shim_library *library_for(const struct curl_handle *handle, const void *caller)
{
    if (handle)
        return handle->library;
    if (shim_instr_is_on(SHIM_FAMILY_CURL))
        shim_count(&shim_recorder.counters, SHIM_COUNTER_HANDLES_UNKNOWN, 1);
    return shim_library_of_caller(&shim_curl_libraries, caller);
}

static void settings_init(struct curl_settings *settings)
{
    *settings = (struct curl_settings){.method = "GET"};
}

static void settings_fini(struct curl_settings *settings)
{
    free(settings->url);
    free(settings->default_protocol);
    free(settings->custom_request);
    settings_init(settings);
}

static struct curl_handle *handle_new(CURL *easy, const struct shim_library *library)
{
    struct curl_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->easy = easy;
    handle->library = library;
    handle->target_is_stale = true;
    settings_init(&handle->settings);
    if (!shim_ptrmap_insert(&handles, easy, handle)) {
        free(handle);
        return NULL;
    }
    return handle;
}

static void handle_free(struct curl_handle *handle)
{
    shim_ptrmap_remove(&handles, handle->easy);
    settings_fini(&handle->settings);
    shim_http_target_fini(&handle->target);
    shim_headers_fini(&handle->headers);
    free(handle);
}

/* Replaces a text by a copy. Without memory the handle is as one that sets none: not traced. */
static void copy_text(char **text, const char *value)
{
    free(*text);
    *text = value ? strdup(value) : NULL;
}

static void follow_method(struct curl_settings *settings, CURLoption option, long on)
{
    switch (option) {
    case CURLOPT_HTTPGET:
        if (!on)
            return;
        settings->method = "GET";
        break;
    case CURLOPT_POST:
        settings->method = on ? "POST" : "GET";
        break;
    case CURLOPT_UPLOAD:
        settings->method = on ? "PUT" : "GET";
        break;
    case CURLOPT_NOBODY:
        settings->no_body = on != 0;
        return;
    default: /* a body of any form */
        settings->method = "POST";
        break;
    }
    if (on)
        settings->no_body = false;
}

/* Notes what the application has set; libcurl has taken it. */
static void follow_option(struct curl_handle *handle, CURLoption option, void *value)
{
    struct curl_settings *settings = &handle->settings;
    long number = (long)(intptr_t)value;
    int saved_errno = errno;
    switch ((int)option) {
    case CURLOPT_URL:
        if (settings->url && value && strcmp(settings->url, value) == 0)
            break;
        copy_text(&settings->url, value);
        handle->target_is_stale = true;
        break;
    case CURLOPT_CURLU:
        settings->curlu = value;
        handle->target_is_stale = true;
        break;
    case CURLOPT_DEFAULT_PROTOCOL:
        copy_text(&settings->default_protocol, value);
        handle->target_is_stale = true;
        break;
    case CURLOPT_HTTPHEADER:
        settings->headers = value;
        handle->headers_are_ours = false;
        break;
    case CURLOPT_CUSTOMREQUEST:
        copy_text(&settings->custom_request, value);
        break;
    case CURLOPT_HTTPGET:
    case CURLOPT_POST:
    case CURLOPT_UPLOAD:
    case CURLOPT_NOBODY:
        follow_method(settings, option, number);
        break;
    case 54: /* CURLOPT_PUT, deprecated */
        follow_method(settings, CURLOPT_UPLOAD, number);
        break;
    case 10024: /* CURLOPT_HTTPPOST, deprecated */
    case CURLOPT_POSTFIELDS:
    case CURLOPT_COPYPOSTFIELDS:
    case CURLOPT_MIMEPOST:
        follow_method(settings, option, 1);
        break;
    case CURLOPT_CONNECT_ONLY:
        settings->connect_only =
            number != 0 && number != 2; /* 2: WebSocket, whose handshake is HTTP */
        break;
    case CURLOPT_AWS_SIGV4:
        settings->signs_headers = value != NULL;
        break;
    case CURLOPT_FOLLOWLOCATION:
        settings->follows = number != 0;
        break;
    case CURLOPT_PREREQFUNCTION:
        settings->prereq.function = value;
        handle->prereq_is_ours = false;
        break;
    case CURLOPT_PREREQDATA:
        settings->prereq.data = value;
        break;
    default:
        break;
    }
    errno = saved_errno;
}

HOOK(CURL *, curl_easy_init, (void))
{
    const struct shim_library *library = shim_library_of_caller(&shim_curl_libraries, SHIM_CALLER);
    if (!library)
        return NULL;
    CURL *easy = REAL_OF(library, curl_easy_init)();
    int saved_errno = errno;
    if (easy && shim_instr_is_on(SHIM_FAMILY_CURL) && !shim_library_contains(library, SHIM_CALLER))
        handle_new(easy, library);
    errno = saved_errno;
    return easy;
}

HOOK(CURLcode, curl_easy_setopt, (CURL * easy, CURLoption option, ...))
{
    /* Every option takes one argument of register size: a pointer, a long or a curl_off_t. */
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *);
    va_end(args);
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library = library_for(handle, SHIM_CALLER);
    if (!library)
        return CURLE_FAILED_INIT;
    CURLcode code = REAL_OF(library, curl_easy_setopt)(easy, option, value);
    if (handle && code == CURLE_OK)
        follow_option(handle, option, value);
    return code;
}

HOOK(CURLcode, curl_easy_perform, (CURL * easy))
{
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library = library_for(handle, SHIM_CALLER);
    if (!library)
        return CURLE_FAILED_INIT;
    bool traced = handle && shim_curl_transfer_begin(handle, SHIM_FRAME());
    struct shim_thread *thread = traced ? shim_thread_tls : NULL;
    unsigned scope = thread ? shim_thread_enter(thread, SHIM_FRAME(), &handle->context) : 0;
    CURLcode code = REAL_OF(library, curl_easy_perform)(easy);
    int saved_errno = errno;
    if (thread)
        shim_thread_leave(thread, scope);
    if (traced)
        shim_curl_transfer_end(handle, code);
    errno = saved_errno;
    return code;
}

HOOK(void, curl_easy_reset, (CURL * easy))
{
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library = library_for(handle, SHIM_CALLER);
    if (!library)
        return;
    REAL_OF(library, curl_easy_reset)(easy);
    if (!handle)
        return;
    int saved_errno = errno;
    settings_fini(&handle->settings);
    handle->target_is_stale = true;
    handle->headers_are_ours = handle->prereq_is_ours = false;
    errno = saved_errno;
}

/* The copy has what libcurl copied, and that is ours where the original is in a transfer. */
static void copy_settings(struct curl_handle *copy, const struct curl_handle *handle)
{
    const struct curl_settings *from = &handle->settings;
    copy->settings = *from;
    copy->settings.url = from->url ? strdup(from->url) : NULL;
    copy->settings.default_protocol =
        from->default_protocol ? strdup(from->default_protocol) : NULL;
    copy->settings.custom_request = from->custom_request ? strdup(from->custom_request) : NULL;
}

HOOK(CURL *, curl_easy_duphandle, (CURL * easy))
{
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library = library_for(handle, SHIM_CALLER);
    if (!library)
        return NULL;
    CURL *copy = REAL_OF(library, curl_easy_duphandle)(easy);
    if (!handle || !copy)
        return copy;
    int saved_errno = errno;
    shim_curl_restore_options(handle, copy);
    if (!shim_library_contains(library, SHIM_CALLER)) {
        struct curl_handle *copy_handle = handle_new(copy, library);
        if (copy_handle)
            copy_settings(copy_handle, handle);
    }
    errno = saved_errno;
    return copy;
}

HOOK(void, curl_easy_cleanup, (CURL * easy))
{
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library = easy ? library_for(handle, SHIM_CALLER) : NULL;
    if (handle) {
        int saved_errno = errno;
        if (handle->in_flight)
            shim_curl_transfer_cancel(handle);
        handle_free(handle);
        errno = saved_errno;
    }
    if (library)
        REAL_OF(library, curl_easy_cleanup)(easy);
}
