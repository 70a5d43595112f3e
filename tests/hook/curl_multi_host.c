/* Uses of libcurl's multi interface, each a mode of its own; the test runs it bare and preloaded
 * and compares. Usage: curl_multi_host MODE URL [MORE]... */
#define CURL_DISABLE_DEPRECATION
#include "curl_host.h"

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define COUNT 4

static const char *base;

/* A mark with a number, in static memory. */
static const char *mark(const char *text, long number)
{
    static _Thread_local char memory[64];
    snprintf(memory, sizeof(memory), "%s-%ld", text, number);
    return memory;
}

/* Adds a handle in a context of its own: a span request-N. */
static void add_in_request(CURLM *multi, CURL *easy, long number)
{
    struct otelshim_span span = otelshim_span_start(mark("request", number), OTELSHIM_SERVER);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, number);
    printf("%d added\n", (int)curl_multi_add_handle(multi, easy));
    otelshim_span_end(span);
}

static CURL *make_numbered(long number)
{
    return make(base, mark("t", number));
}

/* The driver that a loop uses: each returns how many transfers still run. */
static int drive_perform(CURLM *multi)
{
    int running = 0;
    curl_multi_perform(multi, &running);
    curl_multi_poll(multi, NULL, 0, 1000, NULL);
    return running;
}

static int drive_all(CURLM *multi)
{
    int running = 0;
    curl_multi_socket_all(multi, &running);
    curl_multi_wait(multi, NULL, 0, 1000, NULL);
    return running;
}

static int epoll_descriptor = -1, timer_descriptor = -1;

static int watch(CURL *easy, curl_socket_t socket, int what, void *user, void *known)
{
    (void)easy;
    (void)user;
    (void)known;
    struct epoll_event event = {.data.fd = socket};
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (what == CURL_POLL_REMOVE)
        epoll_ctl(epoll_descriptor, EPOLL_CTL_DEL, socket, NULL);
    else if (epoll_ctl(epoll_descriptor, EPOLL_CTL_MOD, socket, &event) != 0)
        epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, socket, &event);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *user)
{
    (void)multi;
    (void)user;
    struct itimerspec spec = {.it_value = {ms / 1000, ms % 1000 * 1000000}};
    if (ms == 0)
        spec.it_value.tv_nsec = 1;
    if (ms < 0)
        spec.it_value = (struct timespec){0, 0};
    timerfd_settime(timer_descriptor, 0, &spec, NULL);
    return 0;
}

static void use_epoll(CURLM *multi)
{
    struct epoll_event event = {.events = EPOLLIN};
    epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    timer_descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    event.data.fd = timer_descriptor;
    epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, timer_descriptor, &event);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
}

static int drive_epoll(CURLM *multi)
{
    struct epoll_event events[8];
    int running = 1;
    int count = epoll_wait(epoll_descriptor, events, 8, 1000);
    for (int i = 0; i < count; i++) {
        uint64_t expirations;
        if (events[i].data.fd == timer_descriptor) {
            if (read(timer_descriptor, &expirations, sizeof(expirations)) > 0)
                curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
            continue;
        }
        int what = (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
        curl_multi_socket_action(multi, events[i].data.fd, what, &running);
    }
    return running;
}

static int (*drive)(CURLM *) = drive_perform;

static CURL *read_done(CURLM *multi, CURLcode *ret_code)
{
    int left;
    CURLMsg *message = curl_multi_info_read(multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return NULL;
    *ret_code = message->data.result;
    return message->easy_handle;
}

static long number_of(CURL *easy)
{
    long number = -1;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &number);
    return number;
}

/* Runs until `count` transfers have ended; `done` is told of each. Codes are printed by number. */
static void run_loop(CURLM *multi, int count, void (*done)(CURLM *, CURL *))
{
    int codes[16] = {0};
    for (int ended = 0; ended < count;) {
        CURLcode code = CURLE_OK;
        CURL *easy;
        drive(multi);
        while ((easy = read_done(multi, &code))) {
            codes[number_of(easy)] = 100 + (int)code;
            ended++;
            done(multi, easy);
        }
    }
    for (int i = 0; i < 16; i++)
        if (codes[i])
            printf("%d: %d\n", i, codes[i] - 100);
}

static void remove_only(CURLM *multi, CURL *easy)
{
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
}

static CURL *follower;

/* What an application does when a transfer has ended: takes it out, begins another, goes on. */
static void go_on(CURLM *multi, CURL *easy)
{
    long number = number_of(easy);
    curl_multi_remove_handle(multi, easy);
    if (number < COUNT && !follower) {
        follower = make(base, "follower");
        curl_easy_setopt(follower, CURLOPT_PRIVATE, (long)COUNT);
        curl_multi_add_handle(multi, follower);
        printf("follower after one of the first\n");
    }
    if (number < COUNT)
        get_quietly(base, mark("continuation", number));
    curl_easy_cleanup(easy);
}

static void loop(const char *url, char **more)
{
    CURLM *multi = curl_multi_init();
    base = url;
    if (more[0] && strcmp(more[0], "epoll") == 0) {
        use_epoll(multi);
        drive = drive_epoll;
    } else if (more[0] && strcmp(more[0], "all") == 0) {
        drive = drive_all;
    }
    for (long i = 0; i < COUNT; i++)
        add_in_request(multi, make_numbered(i), i);
    run_loop(multi, COUNT + 1, go_on);
    int running;
    curl_multi_perform(multi, &running);
    get(url, "tail");
    curl_multi_cleanup(multi);
}

/* The trace of a finished transfer goes on until the loop waits. */
static void waits(const char *url, char **more)
{
    (void)more;
    CURLM *multi = curl_multi_init();
    CURLcode code;
    CURL *easy = make(url, "t-0"), *done;
    base = url;
    add_in_request(multi, easy, 0);
    while (!(done = read_done(multi, &code)))
        drive(multi);
    get(url, "before-wait");
    poll(NULL, 0, 0);
    get(url, "after-wait");
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
}

/* Callbacks of many transfers, each with a transfer of its own inside. */
struct calls {
    long number;
    int writes, headers, reads, progress;
};

static void nest_once(int *calls, const char *what, long number)
{
    if ((*calls)++ == 0)
        get_quietly(base, mark(what, number));
}

static size_t on_write(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    struct calls *calls = user;
    nest_once(&calls->writes, "write", calls->number);
    return size * count;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    struct calls *calls = user;
    nest_once(&calls->headers, "header", calls->number);
    return size * count;
}

static size_t on_read(char *data, size_t size, size_t count, void *user)
{
    struct calls *calls = user;
    nest_once(&calls->reads, "read", calls->number);
    if (calls->reads > 1 || size * count == 0)
        return 0;
    data[0] = 'x';
    return 1;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    struct calls *calls = user;
    nest_once(&calls->progress, "progress", calls->number);
    return 0;
}

static int on_old_progress(void *user, double a, double b, double c, double d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    struct calls *calls = user;
    nest_once(&calls->progress, "progress", calls->number);
    return 0;
}

static void callbacks(const char *url, char **more)
{
    struct calls calls[COUNT] = {{0}};
    CURLM *multi = curl_multi_init();
    base = url;
    for (long i = 0; i < COUNT; i++) {
        CURL *easy = make(more[0], mark("t", i));
        calls[i].number = i;
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &calls[i]);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &calls[i]);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, &calls[i]);
        if (i % 2)
            curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        else
            curl_easy_setopt(easy, 20056 /* CURLOPT_PROGRESSFUNCTION */, on_old_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &calls[i]);
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE, 1L);
        add_in_request(multi, easy, i);
    }
    run_loop(multi, COUNT, remove_only);
    curl_multi_cleanup(multi);
}

/* What a callback is given is what the application set last; told apart by name. */
static CURL *changing;

static size_t say(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    printf("%zu for %s\n", size * count, (const char *)user);
    return size * count;
}

static size_t say_other(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    printf("%zu for other %s\n", size * count, (const char *)user);
    return size * count;
}

static size_t change(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    printf("change by %s\n", (const char *)user);
    curl_easy_setopt(changing, CURLOPT_HEADERFUNCTION, NULL);
    curl_easy_setopt(changing, CURLOPT_HEADERDATA, "header data alone");
    curl_easy_setopt(changing, CURLOPT_WRITEFUNCTION, say_other);
    curl_easy_setopt(changing, CURLOPT_WRITEDATA, "new data");
    curl_easy_setopt(changing, CURLOPT_READFUNCTION, on_read);
    return size * count;
}

static void changes(const char *url, char **more)
{
    (void)more;
    CURLM *multi = curl_multi_init();
    CURL *easy = make(url, "t-0");
    base = url;
    changing = easy;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, say);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, "write data");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, change);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, "header data");
    add_in_request(multi, easy, 0);
    CURLcode code;
    while (!read_done(multi, &code))
        drive(multi);
    curl_multi_remove_handle(multi, easy);
    puts("alone");
    perform(easy); /* what was set must be in force outside as well */
    curl_easy_cleanup(easy);
    /* Headers go to the function for the body when they have data and no function. */
    easy = make(url, "t-1");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, say);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, "write data");
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, "header data alone");
    add_in_request(multi, easy, 1);
    run_loop(multi, 1, remove_only);
    curl_multi_cleanup(multi);
}

static CURL *copied_from, *copy;

static size_t copy_once(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    if (!copy)
        copy = curl_easy_duphandle(copied_from);
    else
        printf("%zu for %s\n", size * count, (const char *)user);
    return size * count;
}

static void copies(const char *url, char **more)
{
    (void)more;
    CURLM *multi = curl_multi_init();
    copied_from = make(url, "t-0");
    curl_easy_setopt(copied_from, CURLOPT_WRITEFUNCTION, copy_once);
    curl_easy_setopt(copied_from, CURLOPT_WRITEDATA, "both");
    curl_easy_setopt(copied_from, CURLOPT_HEADERFUNCTION, say);
    curl_easy_setopt(copied_from, CURLOPT_HEADERDATA, "both headers");
    add_in_request(multi, copied_from, 0);
    run_loop(multi, 1, remove_only);
    curl_multi_cleanup(multi);
    curl_easy_setopt(copy, CURLOPT_URL, marked(url, "copy"));
    perform(copy);
    curl_easy_cleanup(copy);
}

static CURLM *remove_from;
static CURL *to_remove;

static size_t try_to_remove(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    printf("removed in a callback: %d\n", (int)curl_multi_remove_handle(remove_from, to_remove));
    return size * count;
}

/* Handles taken out before their end; a multi handle that ends with transfers in it. */
static void removes(const char *url, char **more)
{
    CURLM *multi = curl_multi_init();
    CURL *hanging = make(more[0], "removed"), *other = make(more[0], "left"),
         *easy = make(url, "t-0");
    CURL *cleaned = make(more[0], "cleaned");
    base = url;
    remove_from = multi;
    to_remove = hanging;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, try_to_remove);
    add_in_request(multi, hanging, 1);
    add_in_request(multi, other, 2);
    add_in_request(multi, cleaned, 3);
    add_in_request(multi, easy, 0);
    run_loop(multi, 1, remove_only);
    printf("%d\n", (int)curl_multi_remove_handle(multi, hanging));
    curl_easy_cleanup(cleaned);
    printf("%d\n", (int)curl_multi_cleanup(multi));
    curl_easy_setopt(hanging, CURLOPT_URL, marked(url, "used-again"));
    perform(hanging);
    curl_easy_cleanup(hanging);
    curl_easy_cleanup(other);
}

/* One that never asks for results, and uses its handle again. */
static void unread(const char *url, char **more)
{
    (void)more;
    CURLM *multi = curl_multi_init();
    CURL *easy = make(url, "first");
    for (int i = 0; i < 2; i++) {
        add_in_request(multi, easy, i);
        while (drive(multi))
            continue;
        report(easy, CURLE_OK);
        curl_multi_remove_handle(multi, easy);
        curl_easy_setopt(easy, CURLOPT_URL, marked(url, "second"));
    }
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
}

static int pauses;

static size_t pause_first(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    if (pauses++ == 0)
        return CURL_WRITEFUNC_PAUSE;
    get(base, user);
    return size * count;
}

/* The callback runs inside curl_easy_pause. */
static void paused(const char *url, char **more)
{
    (void)more;
    CURLM *multi = curl_multi_init();
    CURL *easy = make(url, "t-0"), *other = make(url, "t-1");
    base = url;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pause_first);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, "in-pause");
    add_in_request(multi, easy, 0);
    add_in_request(multi, other, 1);
    while (pauses == 0)
        drive(multi);
    int before = pauses;
    curl_easy_pause(easy, CURLPAUSE_CONT);
    printf("%d calls inside\n", pauses - before);
    run_loop(multi, 2, remove_only);
    curl_multi_cleanup(multi);
}

static const char *resolver_url;

/* Stands before libc's. Names are looked up in threads that libcurl makes. */
int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    typeof(&getaddrinfo) real = (typeof(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || strcmp(name, "service.test") != 0)
        return real(name, service, hints, result);
    get(resolver_url, "in-resolver");
    return real("127.0.0.1", service, hints, result);
}

static void resolver(const char *url, char **more)
{
    struct otelshim_span span = otelshim_span_start("request-0", OTELSHIM_SERVER);
    resolver_url = url;
    get(more[0], "t-0");
    otelshim_span_end(span);
}

int main(int argc, char **argv)
{
    static const struct mode modes[] = {
        {"loop", loop},       {"waits", waits},   {"callbacks", callbacks},
        {"changes", changes}, {"copies", copies}, {"removes", removes},
        {"unread", unread},   {"paused", paused}, {"resolver", resolver},
    };
    (void)argc;
    return run_mode(modes, sizeof(modes) / sizeof(*modes), argv);
}
