/* What the parts of the libcurl instrumentation share: what we know of a handle, and a transfer's
 * begin and end. curl_easy.c and curl_multi.c hold the wrappers, curl_transfer.c what happens
 * around a transfer. */
#pragma once

#define CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>
/* Macros of the same names, which would count the arguments of our definitions. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#include "hook/hook.h"
#include "instr/http_span.h"

#include <netinet/in.h>

#define SHIM_CURL_FUNCTIONS(X)                                                                     \
    X(curl_easy_init, SHIM_LIBRARY_CORE | SHIM_LIBRARY_NO_HANDLE)                                  \
    X(curl_easy_setopt, SHIM_LIBRARY_CORE)                                                         \
    X(curl_easy_perform, SHIM_LIBRARY_CORE)                                                        \
    X(curl_easy_getinfo, SHIM_LIBRARY_CORE)                                                        \
    X(curl_easy_cleanup, SHIM_LIBRARY_CORE)                                                        \
    X(curl_easy_reset, 0)                                                                          \
    X(curl_easy_duphandle, 0)                                                                      \
    X(curl_easy_strerror, 0)                                                                       \
    X(curl_easy_header, 0)                                                                         \
    X(curl_url_get, 0)                                                                             \
    X(curl_free, 0)                                                                                \
    X(curl_multi_add_handle, 0)                                                                    \
    X(curl_multi_remove_handle, 0)                                                                 \
    X(curl_multi_perform, 0)                                                                       \
    X(curl_multi_socket_action, 0)                                                                 \
    X(curl_multi_socket_all, 0)                                                                    \
    X(curl_multi_info_read, 0)                                                                     \
    X(curl_multi_cleanup, 0)

SHIM_LIBRARY_SET_DECLARE(curl, SHIM_CURL_FUNCTIONS);

struct curl_multi_state;

/* A function and its argument, as the application gave them to a handle. */
struct curl_callback {
    void *function;
    void *data;
};

/* Those that are followed. The last two share one argument, which stands at XFERINFO. */
enum curl_callback_kind {
    CURL_CALLBACK_WRITE,
    CURL_CALLBACK_HEADER,
    CURL_CALLBACK_READ,
    CURL_CALLBACK_XFERINFO,
    CURL_CALLBACK_PROGRESS,
    CURL_CALLBACK_COUNT
};

/* What the application has set on a handle, as far as it matters here. */
struct curl_settings {
    char *url; /* malloced, or NULL */
    CURLU *curlu;
    char *default_protocol; /* malloced, or NULL */
    char *custom_request;   /* malloced, or NULL */
    const char *method;     /* what libcurl makes of POST, UPLOAD and the like; static */
    bool no_body;
    bool connect_only;
    bool signs_headers;         /* CURLOPT_AWS_SIGV4 */
    bool follows;               /* CURLOPT_FOLLOWLOCATION */
    struct curl_slist *headers; /* the application's: its first node may be looked at when a
                                   transfer begins, no later */
    struct curl_callback prereq;
    struct curl_callback callback[CURL_CALLBACK_COUNT];
};

/* What one answer's attributes are, as long as the next ones come from the same peer. */
struct curl_answer {
    long status, port, version;
    char address[INET6_ADDRSTRLEN];
    unsigned count;
    size_t len;
    uint8_t encoded[224];
};

/* An easy handle whose whole life we see, from curl_easy_init or curl_easy_duphandle to
 * curl_easy_cleanup. Used by one thread at a time, as libcurl demands of its handles. */
struct curl_handle {
    CURL *easy;
    const struct shim_library *library;
    struct curl_settings settings;
    bool target_is_stale;
    struct shim_http_target target;

    bool in_flight;
    bool is_done;          /* multi: it has ended, and the application was not told yet */
    bool headers_are_ours; /* CURLOPT_HTTPHEADER points to `node` */
    bool prereq_is_ours;
    unsigned wrapped;               /* bits by curl_callback_kind: set to ours */
    struct curl_callback reader;    /* what READ was when it was wrapped */
    struct shim_span *span;         /* NULL: none is made (OTEL_SDK_DISABLED, no room) */
    struct shim_context context;    /* of the span: current in callbacks */
    struct shim_context parent;     /* for what the application does once it knows of the end */
    struct curl_multi_state *multi; /* NULL: an easy transfer */
    struct curl_handle *previous, *next; /* in the multi handle's list */

    const char *method; /* the static text that the next three are of */
    bool method_is_known;
    uint8_t method_len;
    uint8_t method_encoded[48];
    struct curl_answer answer;

    struct shim_headers headers;
    struct curl_slist node[SHIM_HEADERS_MAX];
};

/* NULL: we did not see this handle's creation, or the family is off. */
struct curl_handle *shim_curl_handle_get(CURL *easy);

#define SHIM_CURL_SETOPT(handle)  REAL_OF((handle)->library, curl_easy_setopt)
#define SHIM_CURL_GETINFO(handle) REAL_OF((handle)->library, curl_easy_getinfo)

void shim_curl_settings_init(struct curl_settings *settings);
void shim_curl_settings_fini(struct curl_settings *settings);
/* False: no memory; the copy's texts are incomplete. */
bool shim_curl_settings_copy(struct curl_settings *ret_copy, const struct curl_settings *settings);
/* Notes an option that libcurl has taken. True: the transfer's target changes. */
bool shim_curl_settings_follow(struct curl_settings *settings, CURLoption option, void *value);

/* Sets the application's callbacks to ours for the time of a transfer, so that they run in its
 * context. */
void shim_curl_callbacks_wrap(struct curl_handle *handle);
/* Gives them back to this handle, or to a copy of it. */
void shim_curl_callbacks_restore(const struct curl_handle *handle, CURL *easy);
/* The application has set this option on a handle whose callbacks are ours. */
void shim_curl_callbacks_changed(struct curl_handle *handle, CURLoption option);

/* Begins the span of a transfer and adds the headers. False: this one is not traced. `frame` is the
 * wrapper's. */
bool shim_curl_transfer_begin(struct curl_handle *handle, const void *frame);

/* The application has set this option in the middle of a transfer: what is ours stays in force. */
void shim_curl_transfer_option_changed(struct curl_handle *handle, CURLoption option);

/* Ends it with libcurl's result, and puts back what the application had set. */
void shim_curl_transfer_end(struct curl_handle *handle, CURLcode code);
/* The same for one that the application took away before libcurl told a result. */
void shim_curl_transfer_cancel(struct curl_handle *handle);
/* The same for a handle that is gone already. */
void shim_curl_transfer_abandon(struct curl_handle *handle);

/* Takes what is ours out of the options of this handle, or of a copy of it: the application's come
 * back. */
void shim_curl_restore_options(const struct curl_handle *handle, CURL *easy);

/* Takes a handle out of its multi handle's list, if it is in one. */
void shim_curl_multi_forget(struct curl_handle *handle);

/* What a span says of its end: libcurl's result, or none, as the application did not ask for it. */
void shim_curl_result_add(struct curl_handle *handle, CURLcode code);
void shim_curl_result_add_unread(struct curl_handle *handle);

/* "CURLE_…", static; NULL for a code that is not known here. */
const char *shim_curl_code_name(CURLcode code);
