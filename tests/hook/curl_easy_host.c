/* Uses of libcurl's easy interface, each a mode of its own; the test runs it bare and preloaded and
 * compares. Usage: curl_easy_host MODE URL [MORE]... */
#include "curl_host.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>

static void add(struct curl_slist **list, const char *line)
{
    *list = curl_slist_append(*list, line);
}

/* One handle, URL after URL. */
static void sequence(const char *url, char **more)
{
    CURL *easy = make(url, NULL);
    perform(easy);
    for (; *more; more++) {
        curl_easy_setopt(easy, CURLOPT_URL, *more);
        perform(easy);
    }
    curl_easy_cleanup(easy);
}

static CURL *change_target;
static struct curl_slist *change_to;

static size_t change_headers(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    curl_easy_setopt(change_target, CURLOPT_HTTPHEADER, change_to);
    return size * count;
}

static void lists(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "freed");
    struct curl_slist *list = NULL, *other = NULL;
    add(&list, "X-List: first");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    perform(easy);
    curl_slist_free_all(list); /* still set on the handle */
    list = NULL;
    add(&list, "X-List: replaced");
    add(&list, "X-More: one");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "replaced"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "null"));
    perform(easy);
    list = NULL;
    add(&list, "X-List: before");
    add(&other, "X-List: after");
    change_target = easy;
    change_to = other;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, change_headers);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "changed"));
    perform(easy);
    curl_slist_free_all(list);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "again"));
    perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(other);
}

struct sharer {
    const char *url;
    struct curl_slist *list;
    CURLSH *share;
    int failed;
};

static void *use_shared(void *argument)
{
    struct sharer *sharer = argument;
    CURL *easy = make(sharer->url, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, sharer->list);
    curl_easy_setopt(easy, CURLOPT_SHARE, sharer->share);
    for (int i = 0; i < 30; i++)
        sharer->failed += curl_easy_perform(easy) != CURLE_OK;
    curl_easy_cleanup(easy);
    return NULL;
}

static pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];

static void lock(CURL *easy, curl_lock_data what, curl_lock_access access, void *user)
{
    (void)easy;
    (void)access;
    (void)user;
    pthread_mutex_lock(&share_locks[what]);
}

static void unlock(CURL *easy, curl_lock_data what, void *user)
{
    (void)easy;
    (void)user;
    pthread_mutex_unlock(&share_locks[what]);
}

/* Two threads, two handles, one list of headers and one curl_share. */
static void shared(const char *url, char **more)
{
    (void)more;
    struct sharer sharers[2] = {{.url = url}, {.url = url}};
    struct curl_slist *list = NULL;
    CURLSH *share = curl_share_init();
    pthread_t threads[2];
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&share_locks[i], NULL);
    curl_share_setopt(share, CURLSHOPT_LOCKFUNC, lock);
    curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, unlock);
    curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    add(&list, "X-List: shared");
    for (int i = 0; i < 2; i++) {
        sharers[i].list = list;
        sharers[i].share = share;
        pthread_create(&threads[i], NULL, use_shared, &sharers[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%d failed\n", sharers[0].failed + sharers[1].failed);
    curl_share_cleanup(share);
    curl_slist_free_all(list);
}

static const char *nested_url;

static size_t nest(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    if (nested_url) {
        const char *url = nested_url;
        nested_url = NULL;
        errno = 4711;
        get(url, user);
        otelshim_span_set_string(otelshim_span_current(), "by.callback", "yes");
    }
    return size * count;
}

/* The given headers on one transfer, and another inside its callback. */
static void own(const char *url, char **more)
{
    CURL *easy = make(url, "own");
    struct curl_slist *list = NULL;
    for (; *more; more++)
        add(&list, *more);
    nested_url = url;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, nest);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)"nested");
    perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
}

static void reset(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "before");
    struct curl_slist *list = NULL;
    add(&list, "X-List: set");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    perform(easy);
    curl_easy_reset(easy);
    curl_slist_free_all(list);
    errno = 4711;
    printf("%d\n", (int)curl_easy_perform(easy)); /* no URL */
    printf("%d\n", errno);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "after"));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    perform(easy);
    curl_easy_cleanup(easy);
}

static CURL *dup_original, *dup_copy;

static size_t duplicate(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    if (!dup_copy)
        dup_copy = curl_easy_duphandle(dup_original);
    return size * count;
}

static int allow(void *user, char *peer, char *local, int peer_port, int local_port)
{
    (void)local;
    (void)peer_port;
    (void)local_port;
    printf("before request to %s for %s\n", peer, (const char *)user);
    return CURL_PREREQFUNC_OK;
}

/* Copies of an idle handle and of one in flight; the originals are gone when the copies are used.
 */
static void duphandle(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "original");
    struct curl_slist *list = NULL;
    add(&list, "X-List: of both");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, allow);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)"them");
    CURL *idle = curl_easy_duphandle(easy);
    dup_original = easy;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, duplicate);
    otelshim_baggage_set("who", "me");
    perform(easy);
    curl_easy_cleanup(easy);
    curl_easy_setopt(idle, CURLOPT_URL, marked(url, "idle"));
    perform(idle);
    curl_easy_cleanup(idle);
    curl_easy_setopt(dup_copy, CURLOPT_URL, marked(url, "in-flight"));
    perform(dup_copy);
    curl_easy_cleanup(dup_copy);
    curl_slist_free_all(list);
}

static void nested(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "outer");
    nested_url = url;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, nest);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)"inner");
    perform(easy);
    curl_easy_cleanup(easy);
    get(url, "after");
}

static jmp_buf out;

static size_t jump(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)size;
    (void)count;
    if (user)
        otelshim_span_start("never ended", OTELSHIM_INTERNAL);
    longjmp(out, 1);
}

static void jump_out_of(CURL *easy)
{
    if (setjmp(out) == 0)
        curl_easy_perform(easy);
    puts("jumped");
}

/* libcurl is not made for it: the handles cannot be used or freed any more. */
static void jumps(const char *url, char **more)
{
    (void)more;
    CURL *first = make(url, "left"), *second = make(url, "left-with-span");
    curl_easy_setopt(first, CURLOPT_WRITEFUNCTION, jump);
    curl_easy_setopt(second, CURLOPT_WRITEFUNCTION, jump);
    curl_easy_setopt(second, CURLOPT_WRITEDATA, url);
    jump_out_of(first);
    get(url, "one");
    get(url, "two");
    jump_out_of(second);
    get(url, "three");
}

static sem_t is_running;

static int tell(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    sem_post(&is_running);
    return 0;
}

static void *hang(void *easy)
{
    curl_easy_perform(easy);
    return NULL;
}

static void cancel(const char *url, char **more)
{
    CURL *easy = make(more[0], "cancelled");
    pthread_t thread;
    void *result;
    sem_init(&is_running, 0, 0);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, tell);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    pthread_create(&thread, NULL, hang, easy);
    sem_wait(&is_running);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    puts(result == PTHREAD_CANCELED ? "cancelled" : "returned");
    get(url, "after");
    curl_easy_cleanup(easy);
    get(url, "later");
}

/* The connection alone; the request is the application's own. */
static void connect_only(const char *url, char **more)
{
    static const char request[] =
        "GET /text HTTP/1.1\r\nHost: by-hand\r\nConnection: close\r\n\r\n";
    (void)more;
    CURL *easy = make(url, NULL);
    char answer[4096];
    size_t sent = 0, length = 0, got;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    printf("%d\n", (int)curl_easy_perform(easy));
    while (curl_easy_send(easy, request, sizeof(request) - 1, &sent) == CURLE_AGAIN)
        continue;
    printf("%zu sent\n", sent);
    for (;;) {
        CURLcode code = curl_easy_recv(easy, answer + length, sizeof(answer) - length, &got);
        if (code == CURLE_AGAIN)
            continue;
        if (code != CURLE_OK || got == 0)
            break;
        length += got;
    }
    printf("%.15s\n", answer);
    curl_easy_cleanup(easy);
}

static void upgrade(const char *url, char **more)
{
    CURL *easy = make(url, NULL);
    struct curl_slist *list = NULL;
    add(&list, "Connection: Upgrade");
    add(&list, "Upgrade: websocket");
    add(&list, "Sec-WebSocket-Version: 13");
    add(&list, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    if (more[0])
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, atol(more[0]));
    perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
}

/* The URL comes in parts, which change between transfers. */
static void parts(const char *url, char **more)
{
    (void)more;
    CURLU *parts = curl_url();
    CURL *easy = make("http://unused.invalid/", NULL);
    curl_url_set(parts, CURLUPART_URL, url, 0);
    curl_url_set(parts, CURLUPART_QUERY, "first", 0);
    curl_easy_setopt(easy, CURLOPT_CURLU, parts);
    perform(easy);
    curl_url_set(parts, CURLUPART_QUERY, "second", 0);
    perform(easy);
    curl_easy_cleanup(easy);
    curl_url_cleanup(parts);
}

/* URLs without a scheme; what more says is the default. */
static void schemeless(const char *url, char **more)
{
    CURL *easy = make(url, NULL);
    if (more[0])
        curl_easy_setopt(easy, CURLOPT_DEFAULT_PROTOCOL, more[0]);
    perform(easy);
    curl_easy_cleanup(easy);
}

static size_t no_input(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)size;
    (void)count;
    (void)user;
    return 0;
}

static void methods(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "get");
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "head"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "a=b");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "post"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PATCH");
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "patch"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "get-again"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, no_input);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE, 0L);
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "put"));
    perform(easy);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PURGE");
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "purge"));
    perform(easy);
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_mime *mime = curl_mime_init(easy);
    curl_mimepart *part = curl_mime_addpart(mime);
    curl_mime_name(part, "field");
    curl_mime_data(part, "text", CURL_ZERO_TERMINATED);
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, "plain");
    curl_easy_setopt(easy, CURLOPT_URL, marked(url, "post-copy"));
    perform(easy);
    curl_easy_cleanup(easy);
    curl_mime_free(mime);
}

static void signs(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "signed");
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:nowhere:none");
    curl_easy_setopt(easy, CURLOPT_USERPWD, "key:secret");
    perform(easy);
    curl_easy_cleanup(easy);
}

/* Redirects, with baggage, twice; more: what to do about CURLOPT_PREREQFUNCTION. */
static void follow(const char *url, char **more)
{
    CURL *easy = make(url, NULL);
    otelshim_baggage_set("who", "me");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    if (more[0]) {
        curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, allow);
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, more[0]);
    }
    perform(easy);
    if (more[0]) /* what is set now must be what was set before */
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, "us");
    perform(easy);
    curl_easy_cleanup(easy);
}

static CURL *prereq_target;

static size_t set_prereq(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    curl_easy_setopt(prereq_target, CURLOPT_PREREQFUNCTION, allow);
    curl_easy_setopt(prereq_target, CURLOPT_PREREQDATA, user);
    return size * count;
}

/* The function is set while libcurl already follows redirects. */
static void follow_late(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, NULL);
    otelshim_baggage_set("who", "me");
    prereq_target = easy;
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, set_prereq);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, "them");
    perform(easy);
    curl_easy_cleanup(easy);
}

static void fails(const char *url, char **more)
{
    char message[CURL_ERROR_SIZE] = "";
    CURL *easy = make(url, NULL);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 300L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message);
    if (more[0])
        curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    printf("%d\n", (int)curl_easy_perform(easy));
    puts(strncmp(message, "Operation timed out", 19) == 0 || strstr(message, " ms:") ? "time"
                                                                                     : message);
    curl_easy_cleanup(easy);
}

static void *perform_in_thread(void *easy)
{
    perform(easy);
    return NULL;
}

/* One handle, used by one thread after the other. */
static void moves(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "main");
    perform(easy);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        curl_easy_setopt(easy, CURLOPT_URL, marked(url, i ? "second" : "first"));
        pthread_create(&thread, NULL, perform_in_thread, easy);
        pthread_join(thread, NULL);
    }
    curl_easy_cleanup(easy);
}

static void baggage(const char *url, char **more)
{
    (void)more;
    struct otelshim_span span = otelshim_span_start("root", OTELSHIM_SERVER);
    otelshim_baggage_set("tenant", "a b");
    get(url, "one");
    otelshim_span_end(span);
}

/* The program ends the span that is current, though it did not start it. */
static size_t end_current(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    otelshim_span_end(otelshim_span_current());
    return size * count;
}

static void ends_current(const char *url, char **more)
{
    (void)more;
    CURL *easy = make(url, "ended");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, end_current);
    perform(easy);
    struct otelshim_span a = otelshim_span_start("a", OTELSHIM_INTERNAL);
    struct otelshim_span b = otelshim_span_start("b", OTELSHIM_INTERNAL);
    otelshim_span_end(b);
    otelshim_span_end(a);
    curl_easy_cleanup(easy);
}

int main(int argc, char **argv)
{
    static const struct mode modes[] = {
        {"sequence", sequence},
        {"lists", lists},
        {"shared", shared},
        {"own", own},
        {"reset", reset},
        {"duphandle", duphandle},
        {"nested", nested},
        {"jumps", jumps},
        {"cancel", cancel},
        {"connect_only", connect_only},
        {"upgrade", upgrade},
        {"parts", parts},
        {"methods", methods},
        {"schemeless", schemeless},
        {"signs", signs},
        {"follow", follow},
        {"fails", fails},
        {"follow_late", follow_late},
        {"moves", moves},
        {"baggage", baggage},
        {"ends_current", ends_current},
    };
    (void)argc;
    return run_mode(modes, sizeof(modes) / sizeof(*modes), argv);
}
