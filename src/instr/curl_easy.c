/* libcurl's easy interface: knows each handle from its making to its end, and makes a CLIENT span
 * of each transfer. Must not know how a span is stored or sent. The host's threads. */
#include "instr/curl.h"

#include "base/ptrmap.h"
#include "config/config.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

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

static void handle_free(struct curl_handle *handle)
{
    shim_curl_settings_fini(&handle->settings);
    shim_http_target_fini(&handle->target);
    shim_headers_fini(&handle->headers);
    free(handle);
}

/* A handle whose end was not seen, at an address that libcurl has given out again. */
static void drop_stale(CURL *easy)
{
    struct curl_handle *stale = shim_ptrmap_remove(&handles, easy);
    if (!stale)
        return;
    if (stale->in_flight)
        shim_curl_transfer_abandon(stale);
    handle_free(stale);
}

static struct curl_handle *handle_new(CURL *easy, const struct shim_library *library)
{
    struct curl_handle *handle = calloc(1, sizeof(*handle));
    drop_stale(easy);
    if (!handle)
        return NULL;
    handle->easy = easy;
    handle->library = library;
    handle->target_is_stale = true;
    shim_curl_settings_init(&handle->settings);
    if (!shim_ptrmap_insert(&handles, easy, handle)) {
        free(handle);
        return NULL;
    }
    return handle;
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
    if (!handle || code != CURLE_OK)
        return code;
    int saved_errno = errno;
    if (shim_curl_settings_follow(&handle->settings, option, value))
        handle->target_is_stale = true;
    if (handle->in_flight)
        shim_curl_transfer_option_changed(handle, option);
    errno = saved_errno;
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
    shim_curl_settings_fini(&handle->settings);
    handle->target_is_stale = true;
    handle->headers_are_ours = handle->prereq_is_ours = false;
    handle->wrapped = 0;
    errno = saved_errno;
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
        if (copy_handle && !shim_curl_settings_copy(&copy_handle->settings, &handle->settings))
            drop_stale(copy); /* not to be followed rather than wrongly */
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
        shim_ptrmap_remove(&handles, easy);
        handle_free(handle);
        errno = saved_errno;
    }
    if (library)
        REAL_OF(library, curl_easy_cleanup)(easy);
}
