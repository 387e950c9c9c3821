"""mediad takes new photos, videos and sound recordings from watched folders into dated libraries.

Ranked goals; where two collide the earlier wins:

1. no media file is ever lost or damaged
2. what happened can be seen and undone
3. it runs for years unattended
4. it is fast
5. it is easy to change

The way a file takes (`ingest.pipeline.Pipeline.run` starts it, `ingest.lane.Lane` has the stages from
identify on)::

    watch, scan -> settle -> identify -> plan -> place -> record
    hints,         quiet,    digest,     pure    journal  outcome
    the truth      lease     kind, date          first    rows

Stages never import each other: they hand on the frozen values of `model`, and only what joins them (the
pipeline, its lanes, the preview) knows them. Modules that say PURE in their first line reach neither the
system nor the clock.

A command takes this way: `cli.ctl` -> `control.client` -> socket -> `control.server` -> `steering.daemon`,
which asks the pipeline or the catalogue.

Decisions, and why:

- Scans are the truth, events are hints. Events get lost silently (overflow, limits, moved-in trees), so an
  event only marks what to look at, and everything is looked at again at every start and `rescan`.
- What inotify covers is read from /proc/self/fdinfo, since a watcher does not say where it fails. What it
  does not cover is polled.
- Paths are bytes, walked below a root by directory descriptor without following links: who can write to an
  inbox must not steer the daemon elsewhere.
- Settling is a state machine that gets time as an argument. A read lease then tells whether somebody still
  has the file open for writing, on the local filesystems where that can be believed.
- A file is opened once. The descriptor that was hashed stays open until the file is placed: what gets the
  final name is the very file that was hashed.
- Untrusted bytes are parsed in worker processes, which get open descriptors and no names. A file that kills
  a worker costs itself only; the daemon never loads a parser. What was killed from outside is tried again.
- A wall clock that lies behind the newest time in the catalogue cannot be right: until it is past that, dates
  are judged by that time, and nothing expires.
- One pure planner decides, and knows what is in flight. Duplicates and names are decided nowhere else.
- A duplicate needs a witness: another inode in an online library, read again at that moment.
- Every step is in the journal, durably, before it is taken. `recover` ends by what is on disk what a crash
  cut off.
- Three ways into a library, found out by trying, since device numbers do not tell. `link`: the hashed
  descriptor gets its final name, and the source's own name goes only once the new one is durable. `take`:
  renamed through `.mediad/tmp`, where links are impossible and the filesystem has a journal. `copy`: written
  to `.mediad/tmp`, synced, read back, compared and then named. No name is ever replaced.
- Sets are placed in groups that share their syncs and commits, in one order: content durable, intents
  committed, names given, their folders durable, sources removed, outcomes committed.
- A watch has a lane for small files and one for large ones, so that a hung mount or a long film holds up
  nobody else.
- The marker in `.mediad/library.toml` tells a library from the empty mount point that it hides behind.
- The preview runs the same stages and planner on a copy of the catalogue; there is no flag for pretending.
- One SQLite database holds catalogue and journal, so that they commit together; no transaction spans an
  await.
- Questions go to a second, read-only connection in short windows: a long `history` holds up neither filing
  nor the checkpoints of the write-ahead log.
- The control socket speaks Varlink. The interface definition is the one source of what travels: calls are
  checked against it, and `--json` prints the replies.
- Nobody but the daemon opens the catalogue; `mediactl` needs the socket and the standard library alone, and
  each command loads only its own modules, since people wait for it. The daemon yields the processor to them.
- Clients get a fifth of the event loop, bounded buffers and time limits; each connection is a task that
  raises nothing. Who they are is the kernel's word (SO_PEERCRED, SO_PEERGROUPS).
- `status` is read from memory, in one step of the event loop, so that its numbers fit together.
- A reload is a swap: read, check and try out everything, then change over. A watch that leaves retires:
  what is on its way is finished as planned, and only then does a successor of its name or folder begin.
- A pause is a row in the database with a deadline in wall time, so that it outlasts restarts. It closes the
  way from settle to the lanes; nothing that has begun is broken off.
- An import is a watch that ends: the same stages, a batch of its own. It passes over what an earlier one
  took only where the file is the very same and the library still has it.
- A quarantined file that is tried again is taken from the quarantine as from a watch.
- Whatever moves library files (undo, trash, refile, date, prune, expiry) plans the same kind of change, and
  one mover carries it out: contents claimed, files read, intents committed, names given, sources removed.
  The planner rests nothing on contents that are claimed, so that no newcomer is the duplicate of what
  leaves.
- A date that somebody sets is the catalogue's alone: no file is written to, and its own dates stay known.
- A step says itself what it changed. So recovery can finish it, and undo can take it back, an undo included.
- What was copied is undone into trash, and only while its source still has it: an undo loses no only copy.
- Filing does not wait for analysis. What a content looks like is found out later, by processes that yield to
  everything; the rows that lack it are the queue, so that a stop loses nothing. Look-alikes are reported, by
  more than one witness, and never touched.
- What looks alike is found by an index in the catalogue (multi-index hashing), so that nothing is loaded at
  start, and a million pictures cost a millisecond. It can be made anew, and no backup that a library carries
  has it.
- A filesystem may hang for ever. Looks at it have a time limit, after which the thread is left behind and no
  other is sent after it; the place is in error, the rest goes on. Only a lane that stands still with no
  thread at work is a fault of ours, and then the watchdog hears nothing more.

The package::

    __main__            python -m mediad
    cli.main            mediad: arguments, commands
    cli.ctl             mediactl: from its words to its exit code
    cli.arguments       its arguments
    cli.dispatch        what its commands do with them
    cli.program         what both do around a command: streams, interrupts, exit codes
    cli.output          standard streams that are closed, full or know no Unicode
    cli.settings        finds and reads the configuration file
    cli.template        the commented configuration that `init` writes
    cli.init            mediad init
    cli.plan            mediad plan
    cli.rebuild         mediad rebuild
    cli.status          mediactl status
    cli.steer           mediactl pause, resume, reload, scan, wait, retry, dismiss
    cli.tell            mediactl history, queue, failures, duplicates
    cli.why             mediactl why
    cli.undo            mediactl undo, trash, refile, duplicates --prune
    cli.date            mediactl date
    cli.deeds           what these have in common: the plan, the question, the deed
    cli.changes         what they change, as a table
    cli.asking          asks on the terminal
    cli.progress        progress of what takes longer than a second
    cli.importing       mediactl import
    cli.follow          mediactl monitor
    cli.verify          mediactl verify
    cli.wipe            mediactl safe-to-wipe
    cli.adopt           mediactl adopt
    cli.refusal         what an error reply means: words and exit code
    cli.document        what --json prints
    cli.table           tables, colours, what fits the terminal
    cli.paths           paths between people and the socket
    cli.quantities      counts, times and durations as people write them
    cli.typed           commands that are told to be typed
    service             the daemon's life: signals, logging, locks, reload
    notify              what systemd is told
    eventloop           runs the event loop
    clock               the two clocks: monotonic and wall
    wall                whether the wall clock can be right
    model               the frozen values that cross stages
    errors              the error tree: stable code, what is done next, exit code
    faults              what an error of the system means: on the way of a file, and in a library
    sizes               sizes as people read them
    shell               commands for people to type
    events              what happens, told to whoever follows it
    config.keys         every key, its reader and its default
    config.schema       the configuration as frozen values
    config.parse        TOML to configuration, with every problem at once
    config.checks       what is wrong between values that are right by themselves
    config.difference   what a reload changed, in words
    config.locate       the line on which a key stands
    config.report       collects problems, warnings and origins
    config.sources      environment variables, and what paths refer to
    config.units        durations and sizes
    roots               what the configured folders really are: filesystems, overlaps
    synced              folders that Syncthing or Nextcloud keeps the same on other devices
    layout              layout tokens, and the names that files get
    exclude             gitignore patterns, and those that are built in
    files               the only door to the media filesystem
    behalf              the same, for somebody who may not read all that the daemon can
    library             marker, lock and private folder of a library
    probing             what a library's filesystem can do, found by trying
    lock                keeps a second daemon out
    ingest.roster       the configured watches, prepared for the stages
    ingest.watch        keeps an eye on one folder: events mark, scans decide
    ingest.marks        what has to be looked at
    ingest.ears         listens by inotify, and starts again when that breaks
    ingest.coverage     which folders inotify really covers
    ingest.scan         looks at folders
    ingest.folder       what watch and witnesses know of a scan
    ingest.settle       waits for files to come to rest
    ingest.identify     opens, hashes and recognises
    ingest.plan         the planner
    ingest.kin          does what comes now make a set with what came before?
    ingest.flights      what plans under way keep others from
    ingest.naming       what layouts and rules learn of a file, and the names of a set
    ingest.witnesses    reads library files that a newcomer may be a copy of
    ingest.gates        from what files are taken now, and why not from the others
    ingest.group        a group of sets on their way
    ingest.prepare      witnesses checked, copies made, content durable: all before the intents
    ingest.place        names given, sources removed: all after the intents, in the order that loses nothing
    ingest.moves        link, take, copy, remove: how one file travels
    ingest.evidence     what the catalogue keeps of a file for `why` to tell
    ingest.record       journal rows, batches, log lines
    ingest.recover      finishes or reverts what a crash cut off
    ingest.recovered    what is written of that
    ingest.shelf        a library and how it is
    ingest.shelves      which libraries are online
    ingest.readiness    may a group go into its libraries now?
    ingest.lane         identify, plan, place and record for one watch's files
    ingest.jobs         sets are planned, and plans become what place works on
    ingest.stages       what all lanes share
    ingest.serving      which watches are taken from; they come, go and change
    ingest.pauses       what is paused, and until when
    ingest.importing    a card or folder is taken in once
    ingest.intake       what is new of what was seen settles, and is released into the lanes
    ingest.pipeline     joins it all
    ingest.preview      the same stages for `mediad plan`
    ingest.meter        how far the work on a file is
    ingest.pulse        calls into a filesystem that may hang
    ingest.health       does the work get on, and if not, whose fault is it?
    analysing.analyser  what library files look like, found out in the background
    analysing.opening   opens them for that
    keeping.verify      library files are read again and held against the catalogue
    keeping.verify_look  what all looks at its files share
    keeping.verify_around  files under other names, and unknown ones
    keeping.verify_schedule  when that is done by itself, and who asked for it
    keeping.verify_pace  how fast, and when it is time
    keeping.verify_reading  reads library files from their device
    keeping.noticing    what other hands brought into a library since it came online
    keeping.following   what was renamed by hand is known again where it is named
    keeping.wiping      may a card be wiped? proves it file by file
    keeping.wiping_tree  all that lies on the card, looked at twice
    workers             the pool of processes that parse
    worker              one of them, and our end of its socket
    media.__main__      such a process
    media.wire          what it is asked and answers
    media.formats       the formats, and which one a name claims
    media.kind          which format a content has
    media.whole         whether a file's end is there
    media.read          what one file's content tells
    media.found         what a reader hands on
    media.boxes         boxes of ISO media
    media.programs      bounds the programs that a worker starts
    media.xmp           XMP packets
    media.pictures.readers          the reader of each format of pictures
    media.pictures.jpeg             JPEG
    media.pictures.png  PNG
    media.pictures.images           WebP, TIFF, GIF, BMP
    media.pictures.jpeg_boxes       JPEG 2000, JPEG XL
    media.pictures.photoshop        PSD, and Photoshop's resources and IPTC dates in other formats
    media.pictures.raw_tiff         RAW formats built on TIFF
    media.pictures.raw_canon        CRW, CR3
    media.pictures.raw_makers       RAF, MRW, X3F
    media.pictures.flir             the date of FLIR's thermal cameras
    media.pictures.before_exif      the date in JPEGs of cameras older than Exif
    media.pictures.motion           whether a film is embedded in a picture
    media.pictures.exiftool         ExifTool, for what we cannot date
    media.pictures.heif             HEIC, HEIF, AVIF
    media.pictures.tiff             TIFF structures
    media.pictures.exif             Exif tags
    media.films.video   films
    media.films.audio   sound
    media.films.covers  the pictures in front of sound, which nobody has to read
    media.films.mediainfo           what libmediainfo tells of both
    media.films.isobmff             the boxes of MP4 and its like
    media.films.keys    QuickTime's tables of keys, where a film has several
    media.films.riff    the chunks of AVI and WAV
    media.films.avchd   the date in the pictures of MTS
    media.films.makers  what makers of cameras hide in films
    media.reading       what a file's content told, before anything is concluded
    media.conclude      the date that is believed, the origin, the evidence
    media.dates         chooses the one to believe
    media.offsets       local times against others that are UTC
    media.stamps        the texts of dates
    media.names         dates in file names
    media.zone          time zones by name
    media.sidecars      what XMP files and others tell of the file beside them
    media.takeout       Google Takeout's JSON
    media.together      the date of a set
    media.siblings      pictures of the same card tell local time from UTC
    media.origin        camera, screenshot, messenger, scanner
    media.companions    which files belong together
    media.stems         what their names tell of that
    media.prints.likeness           what a content looks like, and which look alike
    media.prints.fingerprint        makes that: the print of a file
    media.prints.looks  what one picture looks like
    media.prints.decoding           decodes pictures, bounded
    media.prints.frames             frames of a film
    media.prints.ffmpeg             runs the ffmpeg programs over one open file
    media.prints.payload            a digest of the content without its metadata
    media.prints.payload_pictures   of JPEG, PNG, GIF, WebP, PSD
    media.prints.payload_heif       of HEIC and whatever else is made of boxes
    media.prints.payload_raw        of TIFF and RAW
    media.prints.payload_sound      of sound
    media.prints.content            gathers it in bounded memory
    keeping.change      what is to be done with a set, decided before it is done
    keeping.undoing     what takes steps back
    keeping.trashing    what moves files into trash
    keeping.refiling    what moves files to where they belong today
    keeping.gathering   what moves earlier members of a set beside their principal
    keeping.gatherer    does so once that was filed
    keeping.dating      what gives sets another date
    keeping.stated      the dates that were found in a set when it was filed
    keeping.expiring    removes what has lain in trash for long enough
    keeping.expiry_clock  when that is, on a machine whose clock may be wrong
    keeping.removing    sources that could not be removed, once they can be
    keeping.relocate    carries changes out, beside the pipeline and in step with it
    keeping.trip        a group of sets on their way
    keeping.examine     everything opened and read before
    keeping.mover       how they get from spot to spot
    keeping.adopting    what lies in a library is catalogued where it lies
    keeping.adopting_proof  is a folder without a marker the library that has lost it?
    keeping.pruning     which of exact copies may go
    keeping.pruning_looks   groups of exact copies, looked at on disk
    store.database      opens and migrates the database, runs units of work
    store.backup        whole copies of the catalogue, of which some are kept
    store.backup_library    the rows that a library carries
    store.backup_carried    is the catalogue older than what a library carries, or does it lack rows of that?
    store.backup_foreign    may a catalogue that came with a library be believed?
    store.backups       when backups are made
    store.salvage       takes rows of one catalogue into another
    store.salvage_maps  which rows of two catalogues are the same
    store.rebuilding    makes the catalogue anew
    store.rebuilding_library  one library's part of that: what no row knows is hashed
    store.versions      which version of mediad used the catalogue last
    store.world         what the planner asks
    store.shots         pictures beside a film, by their numbers
    store.gathering     principals that came late, until their earlier members are with them
    store.changes       the journal's part of changes
    store.undoable      steps that may be taken back
    store.redated       dates that were overridden, and what has none to override
    store.kept          library files and their sets
    store.trashed       what lies in trash
    store.times         the latest time that the catalogue knows
    store.swapped       which marker a library must have, its name swapped or not
    store.catalogue     what lies where
    store.journal       what is about to be done, and what was
    store.places        the folders behind the names that arrivals have
    store.pauses        pauses, remembered
    store.reading       the second connection, for questions
    store.paths         absolute paths of what rows name
    store.history       what was done, step by step
    store.stories       all that is known of one file's way
    store.strayed       files that may be what somebody renamed
    store.whereabouts   which rows tell of a path or a name
    store.troubles      what failed or is quarantined
    store.lingering     sources that could not be removed
    store.left          what was undone or trashed and still lies in a watch
    store.adopted       library files that are taken over where they lie
    store.copies        library files with the same content
    store.fingerprints  what contents look like, and the files of which that is not known yet
    store.alike         the index of that: what may look alike, and groups of what does
    store.tally         how many files there are
    store.verifying     what library files should be, and what was found
    control.protocol    messages, paths and times on the socket
    control.interface   interface definitions, and whether a value is as one says
    control.client      the client's end
    control.listener    the listening socket: where it is, who may open it
    control.server      takes clients in, within limits
    control.connection  one client's socket: requests in, replies out
    control.conversation  one client's calls, one after another
    control.calls       what a request asks for, and how an error is answered
    control.turns       clients take turns, and leave the event loop to the pipeline
    control.quotas      how many long calls each may have at a time
    control.room        how much memory is held for clients
    control.peer        who is at the other end
    control.access      whether somebody else could read a file
    steering.daemon     a method for each command
    steering.status     the state of everything
    steering.attention  what needs the user's attention, and what to type
    steering.why        the whole story of a path
    steering.evidence   what the catalogue keeps of a file, read
    steering.looking    looks at files that may hang
    steering.naming     which paths a caller may name, by which names they are known
    steering.history    what was done
    steering.failures   what failed or is quarantined, and what to type
    steering.queue      which files wait, and what for
    steering.retrying   tries such files again, or reports them no more
    steering.duplicates  library files with the same content or look, the best of each
    steering.lookalikes  groups of look-alikes
    steering.importing  follows an import, ends with a verdict
    steering.changing   undo, trash and refile: what is asked for, set by set
    steering.dating     what date is asked for, and what has to be known for that
    steering.taking_back  what is undone, found in the journal
    steering.adopting   follows an adoption; writes a lost marker again
    steering.pruning    moves all but one of exact copies into trash
    steering.sources    what may be imported, by whom
    steering.verifying  what of the libraries is verified, and what that told
    steering.wiping     what may be asked to be wiped, what goes with it, and the answer
    steering.fields     fields that several replies share
"""

__version__ = "0.1.0"
