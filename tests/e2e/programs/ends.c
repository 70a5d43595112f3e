/* A host that makes one span and ends, in the way and after the time that it is told. With
 * -DWITH_CURL the span is a request's, otherwise one of the program's own.
 *
 *     ends WAY MICROSECONDS HANDLER-MICROSECONDS [URL [URL THAT HANGS]]
 *
 * HANDLER: what an exit handler of its own, registered first, takes. */
#include <otelshim/otelshim.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long handler_us;

static void pause_for(long us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static void handler(void)
{
    pause_for(handler_us);
}

#ifdef WITH_CURL
#include <curl/curl.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int under_way;

static size_t ignore(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static void work(const char *url)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    if (curl_easy_perform(easy) != CURLE_OK)
        exit(2);
    curl_easy_cleanup(easy);
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t total_up,
                       curl_off_t now_up)
{
    (void)user;
    (void)total;
    (void)now;
    (void)total_up;
    (void)now_up;
    pthread_mutex_lock(&lock);
    under_way = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void *hang(void *url)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, (char *)url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_perform(easy);
    return NULL;
}

static void hang_in_a_thread(char *url)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, hang, url) != 0)
        exit(2);
    pthread_mutex_lock(&lock);
    while (!under_way)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
#else
static void work(const char *url)
{
    (void)url;
    otelshim_span_end(otelshim_span_start("work", OTELSHIM_INTERNAL));
}

static void hang_in_a_thread(char *url)
{
    (void)url;
    exit(2);
}
#endif

static void *exit_here(void *unused)
{
    (void)unused;
    exit(7);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *way = argv[1];
    handler_us = atol(argv[3]);
    if (handler_us > 0)
        atexit(handler);
    work(argc > 4 ? argv[4] : NULL);
    pause_for(atol(argv[2]));
    if (argc > 5)
        hang_in_a_thread(argv[5]);
    if (strcmp(way, "exit") == 0)
        exit(7);
    if (strcmp(way, "_exit") == 0)
        _exit(7);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(7);
    if (strcmp(way, "thread") == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, exit_here, NULL) != 0)
            return 2;
        pthread_join(thread, NULL);
    }
    return 7;
}
