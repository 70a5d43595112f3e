/* Our descriptors in the host's table: high numbers, close-on-exec, and recognised by what they
 * are. A host that closes "all" descriptors frees our number for a file of its own: device and
 * inode tell the two apart. Knows nothing of what the descriptors are for. Any thread. */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Programs count on open() giving 0 to 3, and shells keep what they put aside from 10 on. */
#define LOWEST 10u
/* The table of a process grows with its highest number: past 1024 that costs the host memory, and
 * below it there is room in every process that has not changed its limit. */
#define HIGHEST 1024u

/* Where to look for a free number from: near the top, where hosts seldom come; where all is taken,
 * lower. */
static unsigned first_number(unsigned limit, unsigned attempt)
{
    unsigned number = attempt == 0 ? limit - (limit > 64 ? 64 : limit) : limit / 4 * (4 - attempt);
    return number > LOWEST ? number : LOWEST;
}

static int move_high(int fd)
{
    struct rlimit limit;
    unsigned top = HIGHEST;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < HIGHEST)
        top = (unsigned)limit.rlim_cur;
    int error = EMFILE;
    for (unsigned attempt = 0; top > LOWEST && attempt <= 4; attempt++) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, (int)first_number(top, attempt));
        if (high >= 0)
            return high;
        error = errno;
        if (error != EMFILE && error != EINVAL)
            break;
    }
    return -error;
}

int shim_fd_take(int fd, struct shim_fd *ret_fd)
{
    *ret_fd = SHIM_FD_NONE;
    if (fd < 0)
        return -EBADF;
    int high = move_high(fd);
    close(fd);
    if (high < 0)
        return high;
    struct stat status;
    if (fstat(high, &status) < 0) {
        int error = errno;
        close(high);
        return -error;
    }
    *ret_fd = (struct shim_fd){high, status.st_dev, status.st_ino};
    return 0;
}

bool shim_fd_is_ours(const struct shim_fd *fd)
{
    struct stat status;
    return fd->fd >= 0 && fstat(fd->fd, &status) == 0 && status.st_dev == fd->dev &&
           status.st_ino == fd->ino;
}

void shim_fd_close(struct shim_fd *fd)
{
    if (shim_fd_is_ours(fd))
        close(fd->fd);
    fd->fd = -1;
}
