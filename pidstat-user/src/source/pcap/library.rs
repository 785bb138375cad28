//! libpcap, opened when it is needed: the calls that are used of it, and one capture by them.

use super::frame::Link;
use crate::kernel::Reason;
use libloading::Library;
use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint},
    os::fd::{AsRawFd, RawFd},
    ptr::{self, NonNull},
    sync::Arc,
};

/// Names under which it is installed: Debian's, and everybody else's.
const NAMES: [&str; 3] = ["libpcap.so.0.8", "libpcap.so.1", "libpcap.so"];
/// The device that stands for all.
pub const ANY: &str = "any";
/// Bytes of a frame that are looked at: Ethernet, tags, IPv6 with some extensions, TCP with all its options.
const HEAD_BYTES: c_int = 256;
/// DLT_LINUX_SLL2.
const COOKED2: c_int = 276;
/// PCAP_ERROR_NO_SUCH_DEVICE, PCAP_ERROR_PERM_DENIED and PCAP_ERROR_PROMISC_PERM_DENIED.
const NO_SUCH_DEVICE: c_int = -5;
const REFUSED: [c_int; 2] = [-8, -11];
/// `PCAP_ERRBUF_SIZE`.
const ERROR_BYTES: usize = 256;

/// A capture as libpcap has it.
#[repr(C)]
struct Opaque {
    private: [u8; 0],
}

/// `struct pcap_pkthdr`.
#[repr(C)]
struct Head {
    at: libc::timeval,
    captured: u32,
    length: u32,
}

/// `struct bpf_program`.
#[repr(C)]
struct Filter {
    length: c_uint,
    instructions: *mut libc::c_void,
}

/// `struct pcap_stat`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Statistics {
    received: c_uint,
    dropped: c_uint,
    dropped_by_device: c_uint,
}

type SetNumber = unsafe extern "C" fn(*mut Opaque, c_int) -> c_int;

/// The library, loaded.
#[derive(Debug)]
pub struct Pcap {
    create: unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut Opaque,
    set_snaplen: SetNumber,
    set_promisc: SetNumber,
    set_timeout: SetNumber,
    set_immediate_mode: SetNumber,
    set_buffer_size: SetNumber,
    set_datalink: SetNumber,
    activate: unsafe extern "C" fn(*mut Opaque) -> c_int,
    geterr: unsafe extern "C" fn(*mut Opaque) -> *const c_char,
    statustostr: unsafe extern "C" fn(c_int) -> *const c_char,
    datalink: unsafe extern "C" fn(*mut Opaque) -> c_int,
    setnonblock: unsafe extern "C" fn(*mut Opaque, c_int, *mut c_char) -> c_int,
    get_selectable_fd: unsafe extern "C" fn(*mut Opaque) -> c_int,
    next_ex: unsafe extern "C" fn(*mut Opaque, *mut *const Head, *mut *const u8) -> c_int,
    compile: unsafe extern "C" fn(*mut Opaque, *mut Filter, *const c_char, c_int, u32) -> c_int,
    setfilter: unsafe extern "C" fn(*mut Opaque, *mut Filter) -> c_int,
    freecode: unsafe extern "C" fn(*mut Filter),
    stats: unsafe extern "C" fn(*mut Opaque, *mut Statistics) -> c_int,
    close: unsafe extern "C" fn(*mut Opaque),
    _library: Library,
}

impl Pcap {
    /// Opens the library.
    ///
    /// # Errors
    /// It is not installed, or it is older than 1.5.
    pub fn open() -> Result<Arc<Pcap>, Reason> {
        let mut why = None;
        for name in NAMES {
            // SAFETY: libpcap does nothing when it is loaded.
            match unsafe { Library::new(name) } {
                Ok(library) => return Pcap::of(library).map(Arc::new),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(Reason::NoLibpcap(why.map_or_else(String::new, |why| text_of(&why))))
    }

    fn of(library: Library) -> Result<Pcap, Reason> {
        macro_rules! symbol {
            ($name:literal) => {{
                // SAFETY: the field it goes into has the type that pcap(3PCAP) declares for this name.
                let found = unsafe { library.get($name) };
                *found.map_err(|error| Reason::NoLibpcap(text_of(&error)))?
            }};
        }
        Ok(Pcap {
            create: symbol!("pcap_create"),
            set_snaplen: symbol!("pcap_set_snaplen"),
            set_promisc: symbol!("pcap_set_promisc"),
            set_timeout: symbol!("pcap_set_timeout"),
            set_immediate_mode: symbol!("pcap_set_immediate_mode"),
            set_buffer_size: symbol!("pcap_set_buffer_size"),
            set_datalink: symbol!("pcap_set_datalink"),
            activate: symbol!("pcap_activate"),
            geterr: symbol!("pcap_geterr"),
            statustostr: symbol!("pcap_statustostr"),
            datalink: symbol!("pcap_datalink"),
            setnonblock: symbol!("pcap_setnonblock"),
            get_selectable_fd: symbol!("pcap_get_selectable_fd"),
            next_ex: symbol!("pcap_next_ex"),
            compile: symbol!("pcap_compile"),
            setfilter: symbol!("pcap_setfilter"),
            freecode: symbol!("pcap_freecode"),
            stats: symbol!("pcap_stats"),
            close: symbol!("pcap_close"),
            _library: library,
        })
    }
}

fn text_of(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// How a device is captured.
#[derive(Clone, Debug)]
pub struct Manner<'a> {
    /// Frames for other machines too.
    pub promiscuous: bool,
    /// A filter in pcap-filter(7)'s language.
    pub filter: Option<&'a str>,
    /// Bytes of the kernel's buffer.
    pub buffer_bytes: i32,
}

/// One frame: seconds and microseconds since the epoch, length on the wire, first bytes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the kernel saw it, nanoseconds since the epoch.
    pub epoch_ns: i64,
    /// Its length.
    pub length: u32,
    /// Its beginning.
    pub bytes: &'a [u8],
}

/// The capture of one device, or of all.
#[derive(Debug)]
pub struct Capture {
    pcap: Arc<Pcap>,
    handle: NonNull<Opaque>,
    fd: RawFd,
    link: Link,
    counted: [u32; 2],
    /// Frames that did not fit in the buffer, so far.
    pub dropped: u64,
}

// SAFETY: libpcap's handles belong to no thread; this one is used by whoever owns it only.
unsafe impl Send for Capture {}

impl Capture {
    /// Captures a device, or [`ANY`], in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the device, the filter or the user lacks.
    pub fn open(pcap: &Arc<Pcap>, device: &str, manner: &Manner<'_>) -> Result<Capture, Reason> {
        let named = |why: String| Reason::NoCapture(format!("capture on {device}: {why}"));
        let name = CString::new(device).map_err(|_| named("no device has such a name".into()))?;
        let mut error = [0; ERROR_BYTES];
        // SAFETY: the name is a C string; the call writes at most `ERROR_BYTES` into the other.
        let handle = unsafe { (pcap.create)(name.as_ptr(), error.as_mut_ptr()) };
        let handle = NonNull::new(handle).ok_or_else(|| named(message(error.as_ptr())))?;
        let mut capture =
            Capture { pcap: Arc::clone(pcap), handle, fd: -1, link: Link::Ip, counted: [0; 2], dropped: 0 };
        let at = handle.as_ptr();
        // SAFETY: the handle lives, and is not active yet.
        unsafe {
            (pcap.set_snaplen)(at, HEAD_BYTES);
            (pcap.set_promisc)(at, manner.promiscuous.into());
            (pcap.set_timeout)(at, 10);
            // Whoever opens and closes a connection at once is found only while it is there.
            (pcap.set_immediate_mode)(at, 1);
            (pcap.set_buffer_size)(at, manner.buffer_bytes);
        }
        // SAFETY: as above.
        match unsafe { (pcap.activate)(at) } {
            0.. => {}
            NO_SUCH_DEVICE => return Err(named("there is no such device".into())),
            status if REFUSED.contains(&status) => {
                return Err(Reason::Capability(vec!["CAP_NET_RAW"]));
            }
            status => return Err(named(capture.error(status))),
        }
        if device == ANY {
            // Says of each frame on which device it was; libpcap before 1.10 has only the version that does not.
            // SAFETY: the handle is active.
            unsafe { (pcap.set_datalink)(at, COOKED2) };
        }
        // SAFETY: the handle is active; the buffer is as above.
        let (link, blocks) = unsafe { ((pcap.datalink)(at), (pcap.setnonblock)(at, 1, error.as_mut_ptr())) };
        capture.link =
            Link::of(link).ok_or_else(|| named(format!("frames of link type {link} are not understood")))?;
        if blocks != 0 {
            return Err(named(message(error.as_ptr())));
        }
        // SAFETY: the handle is active.
        capture.fd = unsafe { (pcap.get_selectable_fd)(at) };
        match manner.filter {
            Some(filter) => capture.filter(filter)?,
            None => capture.once_on_loopback(),
        }
        Ok(capture)
    }

    /// Has the kernel leave out what goes out on loopback: it comes in there, and libpcap would take only that. Otherwise
    /// both would need room, and be counted where there is none.
    fn once_on_loopback(&self) {
        /// `LOOPBACK_IFINDEX`, and the kernel's own figures of a packet, PACKET_OUTGOING among them.
        const LOOPBACK: u32 = 1;
        const OUTGOING: u32 = 4;
        const DEVICE_AT: u32 = 0xffff_f008;
        const WAY_AT: u32 = 0xffff_f004;
        let [load, compare, give] = [0x20, 0x15, 0x06];
        let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut steps = [
            step(load, 0, 0, DEVICE_AT),
            step(compare, 0, 2, LOOPBACK),
            step(load, 0, 0, WAY_AT),
            step(compare, 1, 0, OUTGOING),
            step(give, 0, 0, u32::MAX),
            step(give, 0, 0, 0),
        ];
        let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // SAFETY: the descriptor is the capture's socket; the kernel copies the program before the call returns. Without it
        // all is as it was.
        unsafe {
            libc::setsockopt(
                self.fd,
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            );
        }
    }

    fn filter(&mut self, text: &str) -> Result<(), Reason> {
        let refused = |why: String| Reason::NoCapture(format!("filter {text:?}: {why}"));
        let words = CString::new(text).map_err(|_| refused("it has a NUL in it".into()))?;
        let mut filter = Filter { length: 0, instructions: ptr::null_mut() };
        let at = self.handle.as_ptr();
        // SAFETY: the handle is active, the text is a C string, and `filter` is filled by the first call and freed by the
        // last.
        let done = unsafe {
            let mut done = (self.pcap.compile)(at, &raw mut filter, words.as_ptr(), 1, u32::MAX);
            if done == 0 {
                done = (self.pcap.setfilter)(at, &raw mut filter);
                (self.pcap.freecode)(&raw mut filter);
            }
            done
        };
        if done == 0 { Ok(()) } else { Err(refused(self.error(-1))) }
    }

    /// What libpcap says of its last failure.
    fn error(&self, status: c_int) -> String {
        // SAFETY: the handle lives; both give a C string that lives until the next call.
        let (own, general) =
            unsafe { ((self.pcap.geterr)(self.handle.as_ptr()), (self.pcap.statustostr)(status)) };
        Some(message(own)).filter(|text| !text.is_empty()).unwrap_or_else(|| message(general))
    }

    /// What stands before the packets in its frames.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Hands over every frame that is there, but not more than `most`.
    ///
    /// # Errors
    /// The device is gone, or the kernel failed.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(Link, Frame<'_>)) -> Result<(), String> {
        for _ in 0..most {
            let (mut head, mut bytes) = (ptr::null(), ptr::null());
            // SAFETY: the handle is active; both are filled if the call gives 1.
            match unsafe { (self.pcap.next_ex)(self.handle.as_ptr(), &raw mut head, &raw mut bytes) } {
                1 => {}
                0 => return Ok(()),
                status => return Err(self.error(status)),
            }
            // SAFETY: the call gave 1, so the header and as many bytes as it says are valid until the next call.
            let (head, bytes) =
                unsafe { (&*head, std::slice::from_raw_parts(bytes, (*head).captured as usize)) };
            let epoch_ns = head.at.tv_sec * 1_000_000_000 + head.at.tv_usec * 1000;
            take(self.link, Frame { epoch_ns, length: head.length, bytes });
        }
        Ok(())
    }

    /// Brings [`Capture::dropped`] up to date.
    pub fn count(&mut self) {
        let mut now = Statistics::default();
        // SAFETY: the handle is active, and `now` is what the call fills.
        if unsafe { (self.pcap.stats)(self.handle.as_ptr(), &raw mut now) } == 0 {
            let now = [now.dropped, now.dropped_by_device];
            for (now, was) in now.into_iter().zip(&mut self.counted) {
                self.dropped += u64::from(now.wrapping_sub(std::mem::replace(was, now)));
            }
        }
    }
}

impl AsRawFd for Capture {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // SAFETY: the handle lives and is not used again.
        unsafe { (self.pcap.close)(self.handle.as_ptr()) };
    }
}

/// A C string that libpcap wrote.
fn message(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: libpcap ends its messages with NUL.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
