/* Our descriptors in the host's table: high numbers, close-on-exec, and recognised by what they
 * are. A host that closes "all" descriptors frees our number for a file of its own: device and
 * inode tell the two apart. Knows nothing of what the descriptors are for. Any thread. */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Programs count on open() giving 0 to 3, and shells keep what they put aside from 10 on. A table
 * of descriptors begins with room for 64; to grow it in a process with threads takes the kernel
 * some 10 ms. So just below 64, then anywhere above, then lower. */
static const int first_numbers[] = {48, 24, 10};

static int move_high(int fd)
{
    for (unsigned i = 0; i < sizeof(first_numbers) / sizeof(*first_numbers); i++) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, first_numbers[i]);
        if (high >= 0)
            return high;
        if (errno != EMFILE && errno != EINVAL) /* EINVAL: above the process's limit */
            return -errno;
    }
    return -EMFILE;
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
