/* What an application has set on a libcurl handle, as far as it matters here: where the transfer
 * goes, by which method, with which headers and callbacks. Must not know what is made of it. The
 * host's threads. */
#include "instr/curl.h"

#include <stdlib.h>
#include <string.h>

void shim_curl_settings_init(struct curl_settings *settings)
{
    *settings = (struct curl_settings){.method = "GET"};
}

void shim_curl_settings_fini(struct curl_settings *settings)
{
    free(settings->url);
    free(settings->default_protocol);
    free(settings->custom_request);
    shim_curl_settings_init(settings);
}

bool shim_curl_settings_copy(struct curl_settings *ret_copy, const struct curl_settings *settings)
{
    *ret_copy = *settings;
    ret_copy->url = settings->url ? strdup(settings->url) : NULL;
    ret_copy->default_protocol =
        settings->default_protocol ? strdup(settings->default_protocol) : NULL;
    ret_copy->custom_request = settings->custom_request ? strdup(settings->custom_request) : NULL;
    return (!settings->url || ret_copy->url) &&
           (!settings->default_protocol || ret_copy->default_protocol) &&
           (!settings->custom_request || ret_copy->custom_request);
}

/* Replaces a text by a copy. Without memory the handle is as one that sets none. True: it differs
 * from what was there. */
static bool copy_text(char **text, const char *value)
{
    if (*text && value && strcmp(*text, value) == 0)
        return false;
    free(*text);
    *text = value ? strdup(value) : NULL;
    return true;
}

static void follow_method(struct curl_settings *settings, CURLoption option, bool on)
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
        settings->no_body = on;
        return;
    default: /* a body of any form */
        settings->method = "POST";
        break;
    }
    if (on)
        settings->no_body = false;
}

/* What makes the request; false: the option is of another kind. */
static bool follow_request(struct curl_settings *settings, CURLoption option, void *value)
{
    bool on = value != NULL; /* the same for a long */
    switch ((int)option) {
    case CURLOPT_HTTPGET:
    case CURLOPT_POST:
    case CURLOPT_UPLOAD:
    case CURLOPT_NOBODY:
        follow_method(settings, option, on);
        return true;
    case 54: /* CURLOPT_PUT, deprecated */
        follow_method(settings, CURLOPT_UPLOAD, on);
        return true;
    case 10024: /* CURLOPT_HTTPPOST, deprecated */
    case CURLOPT_MIMEPOST:
    case CURLOPT_COPYPOSTFIELDS:
    case CURLOPT_POSTFIELDS:
        follow_method(settings, option, true);
        return true;
    case CURLOPT_CUSTOMREQUEST:
        copy_text(&settings->custom_request, value);
        return true;
    case CURLOPT_HTTPHEADER:
        settings->headers = value;
        return true;
    case CURLOPT_CONNECT_ONLY: /* 2: WebSocket, whose handshake is HTTP */
        settings->connect_only = on && (intptr_t)value != 2;
        return true;
    case CURLOPT_AWS_SIGV4:
        settings->signs_headers = on;
        return true;
    case CURLOPT_FOLLOWLOCATION:
        settings->follows = on;
        return true;
    default:
        return false;
    }
}

static void follow_callback(struct curl_settings *settings, CURLoption option, void *value)
{
    struct curl_callback *callback = settings->callback;
    switch ((int)option) {
    case CURLOPT_WRITEFUNCTION:
        callback[CURL_CALLBACK_WRITE].function = value;
        break;
    case CURLOPT_WRITEDATA:
        callback[CURL_CALLBACK_WRITE].data = value;
        break;
    case CURLOPT_HEADERFUNCTION:
        callback[CURL_CALLBACK_HEADER].function = value;
        break;
    case CURLOPT_HEADERDATA:
        callback[CURL_CALLBACK_HEADER].data = value;
        break;
    case CURLOPT_READFUNCTION:
        callback[CURL_CALLBACK_READ].function = value;
        break;
    case CURLOPT_READDATA:
        callback[CURL_CALLBACK_READ].data = value;
        break;
    case CURLOPT_XFERINFOFUNCTION:
        callback[CURL_CALLBACK_XFERINFO].function = value;
        break;
    case 20056: /* CURLOPT_PROGRESSFUNCTION, deprecated */
        callback[CURL_CALLBACK_PROGRESS].function = value;
        break;
    case CURLOPT_XFERINFODATA:
        callback[CURL_CALLBACK_XFERINFO].data = value;
        break;
    case CURLOPT_PREREQFUNCTION:
        settings->prereq.function = value;
        break;
    case CURLOPT_PREREQDATA:
        settings->prereq.data = value;
        break;
    default:
        break;
    }
}

bool shim_curl_settings_follow(struct curl_settings *settings, CURLoption option, void *value)
{
    switch ((int)option) {
    case CURLOPT_URL:
        return copy_text(&settings->url, value);
    case CURLOPT_CURLU:
        settings->curlu = value;
        return true;
    case CURLOPT_DEFAULT_PROTOCOL:
        return copy_text(&settings->default_protocol, value);
    default:
        if (!follow_request(settings, option, value))
            follow_callback(settings, option, value);
        return false;
    }
}
