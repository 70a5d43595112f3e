/* What happens around one libcurl transfer: its parent, its span, the headers that go along, and
 * the application's options back afterwards. Must not know which interface (easy, multi) drives it.
 * The host's threads. */
#include "instr/curl.h"

#include "config/config.h"
#include "instr/instr.h"
#include "trace/recorder.h"

#include <errno.h>
#include <stdlib.h>

/* An application's list longer than this is not searched further. */
#define HEADER_LIST_MAX 256

#define SETOPT  SHIM_CURL_SETOPT
#define GETINFO SHIM_CURL_GETINFO

/* The application's header list as a carrier. */
struct list_carrier {
    struct shim_carrier carrier;
    const struct curl_slist *list;
};

/* "Name: value"; false for what libcurl does not send as such ("Name:" takes a header out). */
static bool split_header(const char *line, struct shim_str *ret_name, struct shim_str *ret_value)
{
    const char *colon = strchr(line, ':');
    if (!colon)
        return false;
    *ret_name = shim_str_trim(shim_str_n(line, (size_t)(colon - line)));
    *ret_value = shim_str_trim(shim_str(colon + 1));
    return true;
}

static bool list_each(const struct shim_carrier *carrier, unsigned index, struct shim_str *ret_name,
                      struct shim_str *ret_value)
{
    const struct curl_slist *node = ((const struct list_carrier *)carrier)->list;
    for (unsigned i = 0; node && i < HEADER_LIST_MAX; node = node->next, i++)
        if (node->data && split_header(node->data, ret_name, ret_value) && index-- == 0)
            return true;
    return false;
}

static bool list_get(const struct shim_carrier *carrier, struct shim_str name, unsigned index,
                     struct shim_str *ret_value)
{
    struct shim_str found;
    for (unsigned i = 0; list_each(carrier, i, &found, ret_value); i++)
        if (shim_str_equal_nocase(found, name) && index-- == 0)
            return true;
    return false;
}

/* What the application says itself about trace context. */
struct own_headers {
    bool context; /* it sends (or suppresses) trace context in some format */
    bool baggage;
};

static struct own_headers find_own_headers(const struct curl_slist *node)
{
    struct own_headers own = {0};
    for (unsigned i = 0; node && i < HEADER_LIST_MAX; node = node->next, i++) {
        const char *line = node->data ? node->data : "";
        struct shim_str name = shim_str_trim(shim_str_n(line, strcspn(line, ":;")));
        if (!shim_propagation_is_field(name))
            continue;
        if (shim_str_equal_nocase(name, shim_str("baggage")))
            own.baggage = true;
        else
            own.context = true;
    }
    return own;
}

/* URLs come as text or in parts; in parts they may have changed unnoticed. */
static void update_target(struct curl_handle *handle)
{
    struct curl_settings *settings = &handle->settings;
    if (!handle->target_is_stale && !settings->curlu)
        return;
    char *text = NULL;
    bool from_parts = settings->curlu && REAL_OF(handle->library, curl_url_get) &&
                      REAL_OF(handle->library, curl_url_get)(settings->curlu, CURLUPART_URL, &text,
                                                             0) == CURLUE_OK;
    const char *url = from_parts ? text : settings->url;
    shim_http_target_set(&handle->target, shim_str(url), shim_str(settings->default_protocol));
    handle->target_is_stale = false;
    if (from_parts)
        REAL_OF(handle->library, curl_free)(text);
}

static struct shim_str method_of(const struct curl_settings *settings)
{
    if (settings->custom_request)
        return shim_str(settings->custom_request);
    return shim_str(settings->no_body ? "HEAD" : settings->method);
}

/* Which of our headers go to the host that this policy is of. Nodes stay in the list: a line
 * without a colon is not sent. */
static void apply_policy(struct curl_handle *handle, struct shim_http_policy policy)
{
    static char nothing[1];
    for (unsigned i = 0; i < handle->headers.count; i++) {
        const struct shim_header *header = &handle->headers.header[i];
        bool allowed = header->is_baggage ? policy.baggage : policy.context;
        handle->node[i].data = allowed ? header->line : nothing;
    }
}

/* Called by libcurl before each request of a transfer, those after redirects too. */
static int before_request(void *data, char *peer_address, char *local_address, int peer_port,
                          int local_port)
{
    struct curl_handle *handle = data;
    char *url = NULL;
    int saved_errno = errno;
    GETINFO(handle)(handle->easy, CURLINFO_EFFECTIVE_URL, &url);
    apply_policy(handle, shim_http_policy_of_url(shim_str(url)));
    errno = saved_errno;
    curl_prereq_callback theirs;
    memcpy(&theirs, &handle->settings.prereq.function, sizeof(theirs));
    return theirs ? theirs(handle->settings.prereq.data, peer_address, local_address, peer_port,
                           local_port)
                  : CURL_PREREQFUNC_OK;
}

/* Looks at every hop of a transfer that may be redirected elsewhere. False: this libcurl cannot
 * (before 7.80). */
static bool watch_hops(struct curl_handle *handle)
{
    if (SETOPT(handle)(handle->easy, CURLOPT_PREREQFUNCTION, before_request) != CURLE_OK)
        return false;
    handle->prereq_is_ours = true;
    return SETOPT(handle)(handle->easy, CURLOPT_PREREQDATA, handle) == CURLE_OK;
}

/* Our nodes in front of the application's list: nothing of theirs is copied or modified. */
static void set_headers(struct curl_handle *handle)
{
    unsigned count = handle->headers.count;
    for (unsigned i = 0; i < count; i++)
        handle->node[i].next = i + 1 < count ? &handle->node[i + 1] : handle->settings.headers;
    handle->headers_are_ours =
        SETOPT(handle)(handle->easy, CURLOPT_HTTPHEADER, handle->node) == CURLE_OK;
}

static void add_headers(struct curl_handle *handle, const struct shim_context *context,
                        uint32_t propagators)
{
    shim_propagation_inject(propagators, context, &handle->headers);
    if (handle->headers.count == 0)
        return;
    struct shim_http_policy policy = handle->target.policy;
    if (handle->settings.follows && shim_http_policy_is_restricted(&handle->headers) &&
        !watch_hops(handle)) {
        policy.baggage = false;
        policy.context = policy.context && shim_config.propagate_to[0] == '\0';
    }
    apply_policy(handle, policy);
    set_headers(handle);
}

/* Whether a method is one of the known ones. libcurl's own methods are static texts: the handle
 * remembers the last one, with its attribute. */
static bool is_known(struct curl_handle *handle, struct shim_str method)
{
    if (handle->settings.custom_request)
        return shim_http_method_is_known(method);
    if (handle->method != method.ptr) {
        handle->method = method.ptr;
        handle->method_is_known = shim_http_method_is_known(method);
        handle->method_len =
            (uint8_t)shim_span_encode_str(handle->method_encoded, sizeof(handle->method_encoded),
                                          shim_str("http.request.method"), method);
    }
    return handle->method_is_known;
}

static void add_request_attributes(struct curl_handle *handle, struct shim_str method, bool known)
{
    struct shim_span *span = handle->span;
    if (known && !handle->settings.custom_request)
        shim_span_add_encoded(span, handle->method_encoded, handle->method_len, 1);
    else
        shim_http_add_method(span, method, known);
    shim_span_add_encoded(span, handle->target.encoded, handle->target.encoded_len,
                          handle->target.attribute_count);
    struct shim_str rest = shim_str(shim_config.capture_request_headers), name;
    struct list_carrier list = {{list_get, list_each}, handle->settings.headers};
    while (shim_str_split(&rest, ',', &name)) {
        struct shim_str values[8];
        unsigned count = 0;
        name = shim_str_trim(name);
        while (count < 8 && list_get(&list.carrier, name, count, &values[count]))
            count++;
        shim_http_add_header(span, "http.request.header.", name, values, count);
    }
}

static void start_span(struct curl_handle *handle, struct shim_thread *thread,
                       const struct shim_context *parent)
{
    struct shim_str method = method_of(&handle->settings);
    bool known = is_known(handle, method);
    handle->span = shim_span_start(thread, SHIM_SPAN_CLIENT, shim_http_span_name(method, known),
                                   parent, &handle->context);
    if (handle->span && handle->span->recording)
        add_request_attributes(handle, method, known);
}

/* Without spans of our own, what came in is still passed on. */
static void begin(struct curl_handle *handle, struct shim_thread *thread, const void *frame)
{
    struct own_headers own = find_own_headers(handle->settings.headers);
    const struct shim_context *parent = shim_thread_current(thread, frame);
    struct shim_context named = {0};
    if (own.context) {
        struct list_carrier list = {{list_get, list_each}, handle->settings.headers};
        if (shim_propagation_extract(~SHIM_PROPAGATOR_BAGGAGE, &list.carrier, &named)) {
            /* The application made that span in this process, and we know its own only by name. */
            named.span.is_remote = false;
            parent = &named;
        }
    }
    shim_context_copy(&handle->parent, parent);
    handle->span = NULL;
    if (shim_config.sdk_disabled)
        shim_context_copy(&handle->context, parent);
    else
        start_span(handle, thread, parent);
    if (handle->settings.signs_headers)
        shim_count(&shim_recorder.counters, SHIM_COUNTER_INJECT_STOOD_DOWN, 1);
    else if (!own.context)
        add_headers(handle, &handle->context,
                    shim_config.propagators & ~(own.baggage ? SHIM_PROPAGATOR_BAGGAGE : 0u));
    shim_context_fini(&named);
}

bool shim_curl_transfer_begin(struct curl_handle *handle, const void *frame)
{
    if (handle->in_flight || handle->settings.connect_only)
        return false;
    int saved_errno = errno;
    struct shim_thread *thread = shim_thread_self();
    if (thread)
        update_target(handle);
    bool traced = thread && handle->target.is_traced;
    if (traced) {
        begin(handle, thread, frame);
        handle->in_flight = true;
    }
    errno = saved_errno;
    return traced;
}

void shim_curl_restore_options(const struct curl_handle *handle, CURL *easy)
{
    if (handle->headers_are_ours)
        SETOPT(handle)(easy, CURLOPT_HTTPHEADER, handle->settings.headers);
    if (handle->prereq_is_ours) {
        SETOPT(handle)(easy, CURLOPT_PREREQFUNCTION, handle->settings.prereq.function);
        SETOPT(handle)(easy, CURLOPT_PREREQDATA, handle->settings.prereq.data);
    }
    if (handle->wrapped)
        shim_curl_callbacks_restore(handle, easy);
}

void shim_curl_transfer_option_changed(struct curl_handle *handle, CURLoption option)
{
    if (option == CURLOPT_HTTPHEADER && handle->headers_are_ours) {
        struct own_headers own = find_own_headers(handle->settings.headers);
        if (own.context || own.baggage)
            handle->headers_are_ours = false; /* no second one beside theirs */
        else
            set_headers(handle);
    }
    if ((option == CURLOPT_PREREQFUNCTION || option == CURLOPT_PREREQDATA) &&
        handle->prereq_is_ours)
        watch_hops(handle);
    if (handle->wrapped)
        shim_curl_callbacks_changed(handle, option);
}

void shim_curl_transfer_abandon(struct curl_handle *handle)
{
    if (handle->span)
        shim_span_end_ref(shim_thread_self(), handle->context.live);
    handle->span = NULL;
    handle->headers_are_ours = handle->prereq_is_ours = false;
    handle->wrapped = 0;
    handle->in_flight = handle->is_done = false;
    shim_curl_multi_forget(handle);
    shim_context_fini(&handle->context);
    shim_context_fini(&handle->parent);
}

static void end(struct curl_handle *handle)
{
    shim_curl_restore_options(handle, handle->easy);
    shim_curl_transfer_abandon(handle);
}

/* While it ran, the application could reach the span as the current one, and even end it. */
static bool hold_span(struct curl_handle *handle)
{
    return handle->span && shim_span_hold(handle->context.live);
}

void shim_curl_transfer_end(struct curl_handle *handle, CURLcode code)
{
    int saved_errno = errno;
    if (hold_span(handle)) {
        shim_curl_result_add(handle, code);
        shim_span_release(handle->span);
    }
    end(handle);
    errno = saved_errno;
}

void shim_curl_transfer_cancel(struct curl_handle *handle)
{
    int saved_errno = errno;
    if (hold_span(handle)) {
        shim_curl_result_add_unread(handle);
        shim_span_release(handle->span);
    }
    end(handle);
    errno = saved_errno;
}
