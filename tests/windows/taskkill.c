/* taskkill /F /T /PID NUMBER as Windows has it: Wine 8's knows no /T, which ends the children too. */
typedef unsigned short word;
typedef unsigned long long size;
typedef struct {
    unsigned bytes, usage, pid;
    size heap;
    unsigned module, threads, parent;
    int priority;
    unsigned flags;
    word name[260];
} Entry;
__declspec(dllimport) word *GetCommandLineW(void);
__declspec(dllimport) word **CommandLineToArgvW(const word *, int *);
__declspec(dllimport) void ExitProcess(unsigned);
__declspec(dllimport) void *CreateToolhelp32Snapshot(unsigned, unsigned);
__declspec(dllimport) int Process32FirstW(void *, Entry *);
__declspec(dllimport) int Process32NextW(void *, Entry *);
__declspec(dllimport) void *OpenProcess(unsigned, int, unsigned);
__declspec(dllimport) int TerminateProcess(void *, unsigned);
__declspec(dllimport) int CloseHandle(void *);

enum { MOST = 4096, DEEPEST = 64, PROCESSES = 2, MAY_TERMINATE = 1, NOT_FOUND = 128 };
static Entry entries[MOST];
static int count;

static int finish(unsigned pid, int depth, int tree) {
    for (int i = 0; tree && depth < DEEPEST && i < count; i++)
        if (entries[i].parent == pid && entries[i].pid != pid)
            finish(entries[i].pid, depth + 1, tree);
    void *process = OpenProcess(MAY_TERMINATE, 0, pid);
    int ended = process && TerminateProcess(process, 1);
    if (process)
        CloseHandle(process);
    return ended;
}

void start(void) {
    int words, tree = 0;
    unsigned pid = 0;
    word **list = CommandLineToArgvW(GetCommandLineW(), &words);
    for (int i = 1; i < words; i++) {
        word *text = list[i], letter = text[1] & ~32;
        if (text[0] == '/' && letter == 'T')
            tree = 1;
        if (text[0] == '/' && letter == 'P' && i + 1 < words)
            for (word *digit = list[++i]; *digit >= '0' && *digit <= '9'; digit++)
                pid = pid * 10 + (*digit - '0');
    }
    void *all = CreateToolhelp32Snapshot(PROCESSES, 0);
    entries[0].bytes = sizeof(Entry);
    for (int more = Process32FirstW(all, &entries[0]); more && count < MOST - 1; more = Process32NextW(all, &entries[count]))
        entries[++count].bytes = sizeof(Entry);
    ExitProcess(pid && finish(pid, 0, tree) ? 0 : NOT_FOUND);
}
