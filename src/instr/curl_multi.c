/* libcurl's multi interface: a transfer's span runs from add_handle to the moment when the
 * application learns of its end, and what the application does then belongs to the trace of that
 * transfer. The host's threads; a multi handle is used by one at a time. */
#include "instr/curl.h"

#include "base/ptrmap.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <errno.h>
#include <stdlib.h>

/* A multi handle that the application has added a traced transfer to. */
struct curl_multi_state {
    CURLM *multi;
    const struct shim_library *library;
    struct curl_handle *first; /* transfers in flight */
};

static struct shim_ptrmap multis;

static const struct shim_context nothing_current;

static struct curl_multi_state *state_get(CURLM *multi)
{
    return shim_ptrmap_find(&multis, multi);
}

static struct curl_multi_state *state_make(CURLM *multi, const struct shim_library *library)
{
    struct curl_multi_state *state = state_get(multi);
    if (state)
        return state;
    state = calloc(1, sizeof(*state));
    if (!state)
        return NULL;
    state->multi = multi;
    state->library = library;
    if (!shim_ptrmap_insert(&multis, multi, state)) {
        free(state);
        return NULL;
    }
    return state;
}

static const struct shim_library *library_for(const struct curl_multi_state *state,
                                              const void *caller)
{
    return state ? state->library : shim_library_of_caller(&shim_curl_libraries, caller);
}

static void remember(struct curl_multi_state *state, struct curl_handle *handle)
{
    handle->multi = state;
    handle->previous = NULL;
    handle->next = state->first;
    if (state->first)
        state->first->previous = handle;
    state->first = handle;
}

void shim_curl_multi_forget(struct curl_handle *handle)
{
    if (!handle->multi)
        return;
    if (handle->previous)
        handle->previous->next = handle->next;
    else
        handle->multi->first = handle->next;
    if (handle->next)
        handle->next->previous = handle->previous;
    handle->multi = NULL;
    handle->previous = handle->next = NULL;
}

/* The application drives its transfers on: what it did for the last finished one is done. */
static void end_continuation(const CURLM *multi)
{
    struct shim_thread *thread = shim_thread_tls;
    if (thread)
        shim_thread_end_continuation(thread, multi);
}

/* While libcurl works on its transfers, callbacks of the application run. Those of a handle are
 * wrapped (curl_callbacks.c); the multi handle's own are for the one transfer there is, and with
 * several, no link is better than a guess. */
static unsigned enter(const struct curl_multi_state *state, const void *frame)
{
    if (!state)
        return 0;
    end_continuation(state->multi);
    if (!state->first)
        return 0;
    int saved_errno = errno;
    struct shim_thread *thread = shim_thread_self();
    errno = saved_errno;
    const struct shim_context *context =
        state->first->next ? &nothing_current : &state->first->context;
    return thread ? shim_thread_enter(thread, frame, context) : 0;
}

/* No transfer runs any more: what the application has not been told yet is at its end. */
static void leave(struct curl_multi_state *state, unsigned scope, CURLMcode code,
                  const int *running_handles)
{
    int saved_errno = errno;
    if (state && code == CURLM_OK && running_handles && *running_handles == 0)
        for (struct curl_handle *handle = state->first; handle; handle = handle->next)
            handle->is_done = true;
    if (scope)
        shim_thread_leave(shim_thread_tls, scope);
    errno = saved_errno;
}

HOOK(CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL *easy))
{
    struct curl_handle *handle = shim_curl_handle_get(easy);
    const struct shim_library *library =
        handle ? handle->library : library_for(state_get(multi), SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    CURLMcode code = REAL_OF(library, curl_multi_add_handle)(multi, easy);
    int saved_errno = errno;
    if (code == CURLM_OK && handle && !shim_library_contains(library, SHIM_CALLER)) {
        struct curl_multi_state *state = state_make(multi, library);
        if (state && shim_curl_transfer_begin(handle, SHIM_FRAME())) {
            remember(state, handle);
            shim_curl_callbacks_wrap(handle);
        }
    }
    errno = saved_errno;
    return code;
}

HOOK(CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL *easy))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    struct curl_handle *handle = state ? shim_curl_handle_get(easy) : NULL;
    bool ours = handle && handle->multi == state && !shim_library_contains(library, SHIM_CALLER);
    CURLMcode code = REAL_OF(library, curl_multi_remove_handle)(multi, easy);
    if (ours && code == CURLM_OK) /* not inside a callback, where libcurl refuses */
        shim_curl_transfer_cancel(handle);
    return code;
}

HOOK(CURLMcode, curl_multi_perform, (CURLM * multi, int *running_handles))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    unsigned scope = enter(state, SHIM_FRAME());
    CURLMcode code = REAL_OF(library, curl_multi_perform)(multi, running_handles);
    leave(state, scope, code, running_handles);
    return code;
}

HOOK(CURLMcode, curl_multi_socket_action,
     (CURLM * multi, curl_socket_t socket, int events, int *running_handles))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    unsigned scope = enter(state, SHIM_FRAME());
    CURLMcode code =
        REAL_OF(library, curl_multi_socket_action)(multi, socket, events, running_handles);
    leave(state, scope, code, running_handles);
    return code;
}

HOOK(CURLMcode, curl_multi_socket_all, (CURLM * multi, int *running_handles))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    unsigned scope = enter(state, SHIM_FRAME());
    CURLMcode code = REAL_OF(library, curl_multi_socket_all)(multi, running_handles);
    leave(state, scope, code, running_handles);
    return code;
}

/* The application learns of an end: it goes on in the trace that the transfer was begun in. */
static void finish(const struct curl_multi_state *state, const CURLMsg *message)
{
    struct curl_handle *handle = shim_curl_handle_get(message->easy_handle);
    struct shim_thread *thread = shim_thread_self();
    if (!handle || handle->multi != state || !thread)
        return;
    if (shim_context_is_valid(&handle->parent))
        shim_thread_continue(thread, &handle->parent, state->multi);
    shim_curl_transfer_end(handle, message->data.result);
}

HOOK(CURLMsg *, curl_multi_info_read, (CURLM * multi, int *messages))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return NULL;
    CURLMsg *message = REAL_OF(library, curl_multi_info_read)(multi, messages);
    if (!state)
        return message;
    int saved_errno = errno;
    end_continuation(multi);
    if (message && message->msg == CURLMSG_DONE)
        finish(state, message);
    errno = saved_errno;
    return message;
}

HOOK(CURLMcode, curl_multi_cleanup, (CURLM * multi))
{
    struct curl_multi_state *state = state_get(multi);
    const struct shim_library *library = library_for(state, SHIM_CALLER);
    if (!library)
        return CURLM_BAD_HANDLE;
    /* Out of the map first: afterwards another thread may be given the same address. */
    if (state)
        shim_ptrmap_remove(&multis, multi);
    CURLMcode code = REAL_OF(library, curl_multi_cleanup)(multi);
    int saved_errno = errno;
    if (state && code != CURLM_OK) {
        shim_ptrmap_insert(&multis, multi, state);
    } else if (state) {
        end_continuation(multi);
        while (state->first)
            shim_curl_transfer_cancel(state->first);
        free(state);
    }
    errno = saved_errno;
    return code;
}
