/* The application's callbacks on a handle, run in the context of that handle's transfer: a multi
 * handle drives many transfers in one call. Only those that the application has set; libcurl's own
 * default writes need no context. Must not know what a transfer's span is. The host's threads. */
#include "instr/curl.h"

#include "trace/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned enter(const struct curl_handle *handle, const void *frame)
{
    struct shim_thread *thread = shim_thread_self();
    return thread ? shim_thread_enter(thread, frame, &handle->context) : 0;
}

static void leave(unsigned scope)
{
    int saved_errno = errno;
    if (scope && shim_thread_tls)
        shim_thread_leave(shim_thread_tls, scope);
    errno = saved_errno;
}

/* What libcurl would call. Headers go to the function for the body when they have an argument and
 * no function of their own. */
static struct curl_callback find(const struct curl_settings *settings, enum curl_callback_kind kind)
{
    struct curl_callback callback = settings->callback[kind];
    if (kind == CURL_CALLBACK_HEADER && !callback.function && callback.data)
        callback.function = settings->callback[CURL_CALLBACK_WRITE].function;
    if (kind == CURL_CALLBACK_PROGRESS)
        callback.data = settings->callback[CURL_CALLBACK_XFERINFO].data;
    return callback;
}

/* `callback` is a copy: the application may change the handle inside. */
static size_t transfer(const struct curl_handle *handle, struct curl_callback callback, char *data,
                       size_t size, size_t count)
{
    curl_write_callback theirs; /* curl_read_callback is the same */
    memcpy(&theirs, &callback.function, sizeof(theirs));
    unsigned scope = enter(handle, SHIM_FRAME());
    size_t result = theirs(data, size, count, callback.data);
    leave(scope);
    return result;
}

static size_t call_write(char *data, size_t size, size_t count, void *ours)
{
    const struct curl_handle *handle = ours;
    return transfer(handle, find(&handle->settings, CURL_CALLBACK_WRITE), data, size, count);
}

static size_t call_header(char *data, size_t size, size_t count, void *ours)
{
    const struct curl_handle *handle = ours;
    return transfer(handle, find(&handle->settings, CURL_CALLBACK_HEADER), data, size, count);
}

static size_t call_read(char *data, size_t size, size_t count, void *ours)
{
    const struct curl_handle *handle = ours;
    return transfer(handle, handle->reader, data, size, count);
}

static int call_xferinfo(void *ours, curl_off_t to_get, curl_off_t got, curl_off_t to_put,
                         curl_off_t put)
{
    const struct curl_handle *handle = ours;
    struct curl_callback callback = find(&handle->settings, CURL_CALLBACK_XFERINFO);
    curl_xferinfo_callback theirs;
    memcpy(&theirs, &callback.function, sizeof(theirs));
    unsigned scope = enter(handle, SHIM_FRAME());
    int result = theirs(callback.data, to_get, got, to_put, put);
    leave(scope);
    return result;
}

static int call_progress(void *ours, double to_get, double got, double to_put, double put)
{
    const struct curl_handle *handle = ours;
    struct curl_callback callback = find(&handle->settings, CURL_CALLBACK_PROGRESS);
    curl_progress_callback theirs;
    memcpy(&theirs, &callback.function, sizeof(theirs));
    unsigned scope = enter(handle, SHIM_FRAME());
    int result = theirs(callback.data, to_get, got, to_put, put);
    leave(scope);
    return result;
}

static const struct {
    CURLoption function_option, data_option;
    shim_function ours;
} slots[] = {
    [CURL_CALLBACK_WRITE] = {CURLOPT_WRITEFUNCTION, CURLOPT_WRITEDATA, (shim_function)call_write},
    [CURL_CALLBACK_HEADER] = {CURLOPT_HEADERFUNCTION, CURLOPT_HEADERDATA,
                              (shim_function)call_header},
    [CURL_CALLBACK_READ] = {CURLOPT_READFUNCTION, CURLOPT_READDATA, (shim_function)call_read},
    [CURL_CALLBACK_XFERINFO] = {CURLOPT_XFERINFOFUNCTION, CURLOPT_XFERINFODATA,
                                (shim_function)call_xferinfo},
    [CURL_CALLBACK_PROGRESS] = {CURLOPT_PROGRESSFUNCTION, CURLOPT_XFERINFODATA,
                                (shim_function)call_progress},
};

/* fread and fwrite need no context, and libcurl compares with fread. */
static bool is_plain(const void *function)
{
    return !function || (uintptr_t)function == (uintptr_t)fread ||
           (uintptr_t)function == (uintptr_t)fwrite;
}

static void wrap(struct curl_handle *handle, unsigned kinds)
{
    for (unsigned kind = 0; kind < CURL_CALLBACK_COUNT; kind++) {
        struct curl_callback callback = find(&handle->settings, kind);
        if (!(kinds & 1u << kind) || is_plain(callback.function) ||
            SHIM_CURL_SETOPT(handle)(handle->easy, slots[kind].function_option, slots[kind].ours) !=
                CURLE_OK)
            continue;
        SHIM_CURL_SETOPT(handle)(handle->easy, slots[kind].data_option, handle);
        handle->wrapped |= 1u << kind;
        if (kind == CURL_CALLBACK_READ)
            handle->reader = callback;
    }
}

static void restore(const struct curl_handle *handle, CURL *easy, unsigned kinds)
{
    for (unsigned kind = 0; kind < CURL_CALLBACK_COUNT; kind++) {
        if (!(handle->wrapped & kinds & 1u << kind))
            continue;
        unsigned data_kind = kind == CURL_CALLBACK_PROGRESS ? CURL_CALLBACK_XFERINFO : kind;
        SHIM_CURL_SETOPT(handle)
        (easy, slots[kind].function_option, handle->settings.callback[kind].function);
        SHIM_CURL_SETOPT(handle)
        (easy, slots[kind].data_option, handle->settings.callback[data_kind].data);
    }
}

void shim_curl_callbacks_wrap(struct curl_handle *handle)
{
    wrap(handle, ~0u);
}

void shim_curl_callbacks_restore(const struct curl_handle *handle, CURL *easy)
{
    restore(handle, easy, ~0u);
}

/* What may change together: an argument that two have, a function that two have. */
static unsigned kinds_of(CURLoption option)
{
    switch ((int)option) {
    case CURLOPT_WRITEFUNCTION:
    case CURLOPT_WRITEDATA:
    case CURLOPT_HEADERFUNCTION:
    case CURLOPT_HEADERDATA:
        return 1u << CURL_CALLBACK_WRITE | 1u << CURL_CALLBACK_HEADER;
    case CURLOPT_READFUNCTION:
    case CURLOPT_READDATA:
        return 1u << CURL_CALLBACK_READ;
    case CURLOPT_XFERINFOFUNCTION:
    case 20056: /* CURLOPT_PROGRESSFUNCTION, deprecated */
    case CURLOPT_XFERINFODATA:
        return 1u << CURL_CALLBACK_XFERINFO | 1u << CURL_CALLBACK_PROGRESS;
    default:
        return 0;
    }
}

void shim_curl_callbacks_changed(struct curl_handle *handle, CURLoption option)
{
    unsigned kinds = kinds_of(option);
    restore(handle, handle->easy, kinds);
    handle->wrapped &= ~kinds;
    /* A running transfer keeps the reader that it began with, ours, which calls theirs. */
    wrap(handle, kinds & ~(1u << CURL_CALLBACK_READ));
}
