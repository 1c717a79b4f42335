/* Puts back what chDB's build of ClickHouse leaves out: an error for a write to a file that the disk refuses.
 *
 * Preloaded into the server, it throws where ClickHouse's own build throws, and the same exception.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CANNOT_WRITE_TO_FILE_DESCRIPTOR = 75 };

/* DB::ErrnoException::throwFromPath<>(int code, std::string const & path, FormatStringHelper<> message) */
#define THROW_FROM_PATH \
    "_ZN2DB14ErrnoException13throwFromPathIJEEEviRKNSt3__112basic_stringIcNS2_11char_traitsIcEENS2_9allocatorIcEEEE" \
    "22FormatStringHelperImplIJDpNS2_13type_identityIT_E4typeEEEDpOSD_"

struct string { size_t words[3]; }; /* all zero: empty */
struct view { const char *start; size_t length; };
struct format { struct view message, checked; };

static int is_a_file(int fd)
{
    struct stat of;
    return fd > STDERR_FILENO && fstat(fd, &of) == 0 && S_ISREG(of.st_mode);
}

ssize_t write(int fd, const void *data, size_t length)
{
    ssize_t (*write_of_libc)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t written = write_of_libc(fd, data, length);
    int why = errno;
    if (written < 0 && why != EINTR && is_a_file(fd)) {
        void (*throw_from_path)(int, const struct string *, struct format) = dlsym(RTLD_DEFAULT, THROW_FROM_PATH);
        struct string path = {{0}};
        struct view text = {"Cannot write to a file", 22};
        if (throw_from_path) {
            errno = why;
            throw_from_path(CANNOT_WRITE_TO_FILE_DESCRIPTOR, &path, (struct format){text, text});
        }
    }
    errno = why;
    return written;
}
