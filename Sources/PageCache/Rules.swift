/// Rules of the protocol that an experiment switches off, to see what they are for: the mutants of the test suite.
///
/// Empty in every real run. Each rule is explained where it is applied.
public struct SwitchedOffRules: OptionSet, Sendable {
  /// One bit a rule.
  public let rawValue: UInt128
  /// Rules by number; use the named ones.
  public init(rawValue: UInt128) { self.rawValue = rawValue }

  /// The cookie is compared before a batch is dispatched.
  public static let cookieComparison = Self(rawValue: 1 << 0)
  /// A cached extent keeps the cookie that was sampled before its lookup.
  public static let oldCookieOfCachedExtent = Self(rawValue: 1 << 1)
  /// Validation and dispatch are one step.
  public static let oneStepDispatch = Self(rawValue: 1 << 2)
  /// A bit is not cleared while a write to its block is queued or in flight.
  public static let pendingFrees = Self(rawValue: 1 << 3)
  /// A walk of the block tree compares the free sequence before it enters a block.
  public static let walkComparison = Self(rawValue: 1 << 4)
  /// Metadata is copied in the step that dispatches it.
  public static let lateMetadataCopy = Self(rawValue: 1 << 5)
  /// Fsync waits for pages under writeback.
  public static let fsyncWaitsForWriteback = Self(rawValue: 1 << 6)
  /// A shared flush was submitted after the last write it covers.
  public static let flushAfterLastWrite = Self(rawValue: 1 << 7)
  /// A failed flush is remembered.
  public static let failedFlushIsRemembered = Self(rawValue: 1 << 8)
  /// A fill is published only while its page is attached.
  public static let fillChecksAttachment = Self(rawValue: 1 << 9)
  /// A writer waits until its page is not filling.
  public static let writerWaitsForFill = Self(rawValue: 1 << 10)
  /// Blocks are linked in the step that marks their page dirty.
  public static let linkInOneStep = Self(rawValue: 1 << 11)
  /// The size grows in the step that marks the page dirty.
  public static let growInOneStep = Self(rawValue: 1 << 12)
  /// Pages of a failed batch are planned again on the normal path.
  public static let retryOnNormalPath = Self(rawValue: 1 << 13)
  /// Pages of a stale batch are planned again.
  public static let staleIsPlannedAgain = Self(rawValue: 1 << 14)
  /// A discard counts as a write.
  public static let discardCountsAsWrite = Self(rawValue: 1 << 15)
  /// Only the evictor frees an unlinked inode.
  public static let evictorFrees = Self(rawValue: 1 << 16)
  /// The cookie is sampled before the lookup.
  public static let sampleBeforeLookup = Self(rawValue: 1 << 17)
  /// Fsync writes the inode.
  public static let fsyncWritesInode = Self(rawValue: 1 << 18)
  /// Fsync writes the blocks that belong to the inode: pointers, and the names of a directory.
  public static let fsyncWritesOwnBlocks = Self(rawValue: 1 << 19)
  /// Fsync writes the attribute block.
  public static let fsyncWritesAttributes = Self(rawValue: 1 << 20)
  /// Fsync ends with a flush.
  public static let fsyncFlushes = Self(rawValue: 1 << 21)
  /// Fdatasync writes an inode whose size or blocks changed.
  public static let fdatasyncWritesShape = Self(rawValue: 1 << 22)
  /// Sync, and with it unmount, flushes before it says that all is written.
  public static let syncFlushes = Self(rawValue: 1 << 23)
  /// The volume is marked not clean, durably, before its first change.
  public static let markedBeforeChange = Self(rawValue: 1 << 24)
  /// Those that only a power cut shows.
  public static let ofDurability: Self = [
    .fsyncWritesInode, .fsyncWritesOwnBlocks, .fsyncWritesAttributes, .fsyncFlushes, .fdatasyncWritesShape,
    .syncFlushes, .markedBeforeChange,
  ]

  /// A page or a metadata block whose write failed stays dirty.
  public static let failedPageStaysDirty = Self(rawValue: 1 << 25)
  public static let failedMetadataStaysDirty = Self(rawValue: 1 << 26)
  /// An error of writeback is told to those who have the file open; once to each.
  public static let errorIsTold = Self(rawValue: 1 << 27)
  public static let errorIsToldOnce = Self(rawValue: 1 << 28)
  /// An operation that fails gives back the blocks and the inode that it has taken.
  public static let failureGivesBack = Self(rawValue: 1 << 29)
  /// Unmount marks the volume clean only when everything was written.
  public static let cleanOnlyWhenWritten = Self(rawValue: 1 << 30)
  /// A change after a freeze or a thaw that failed marks the volume not clean again.
  public static let changeMarksAgain = Self(rawValue: 1 << 31)
  /// Unmount tries once more to free what could not be freed.
  public static let evictionIsTriedAgain = Self(rawValue: 1 << 32)
  /// A failing page enters its error sequence once until it has been written.
  public static let failureIsReportedOnce = Self(rawValue: 1 << 33)
  /// A page that fails alone is left alone for a while.
  public static let failedPageWaits = Self(rawValue: 1 << 34)
  /// After corruption that ends all changes no metadata is written.
  public static let corruptionStopsWrites = Self(rawValue: 1 << 35)

  /// The cookie has all bits of the block sequence.
  public static let cookieHasAllBits = Self(rawValue: 1 << 36)
  /// A write past its deadline is outstanding still.
  public static let lateWritesCount = Self(rawValue: 1 << 37)
  /// With ordered frees a block is taken only when the change that freed it is durable.
  public static let orderedFreesWait = Self(rawValue: 1 << 38)
  /// No space is reported only when nothing waits to be freed.
  public static let spaceIsWaitedFor = Self(rawValue: 1 << 39)
  /// A freed block of metadata is neither dirty nor found any more.
  public static let freedIsForgotten = Self(rawValue: 1 << 40)
  /// Pages leave the file in the step that frees their blocks.
  public static let detachInOneStep = Self(rawValue: 1 << 41)
  /// What a truncate cuts off the last block is zero.
  public static let tailIsZeroed = Self(rawValue: 1 << 42)
  /// A reader takes the size anew when it has waited.
  public static let sizeIsTakenAnew = Self(rawValue: 1 << 43)

  /// What others got wrong (`HistoricalBugTests`): the bits of a group count from its first block.
  public static let bitsCountFromFirstBlock = Self(rawValue: 1 << 45)
  /// A short symbolic link has no blocks.
  public static let shortLinkHasNoBlocks = Self(rawValue: 1 << 46)
  /// The last group ends with the volume.
  public static let lastGroupEnds = Self(rawValue: 1 << 47)
  /// A pointer is checked before its block is read or written.
  public static let pointersAreChecked = Self(rawValue: 1 << 48)
  /// A directory that was changed has no hash index any more.
  public static let changeEndsIndex = Self(rawValue: 1 << 49)
  /// An entry says of which type its inode is.
  public static let entryHasType = Self(rawValue: 1 << 50)
  /// Unmount writes everything.
  public static let unmountWrites = Self(rawValue: 1 << 51)
  /// Opening with `truncate` cuts the file.
  public static let openTruncates = Self(rawValue: 1 << 52)
  /// A mount that fails lets go of its device.
  public static let failedMountLetsGo = Self(rawValue: 1 << 44)

  /// Names and metadata: a change of mode, owner or times is encoded into the inode table.
  public static let statusIsEncoded = Self(rawValue: 1 << 53)
  /// A directory that gets a block grows by it.
  public static let directoryGrows = Self(rawValue: 1 << 54)
  /// Each inode that shares an attribute block is counted in it.
  public static let sharersAreCounted = Self(rawValue: 1 << 55)
  /// A name that goes takes one link along.
  public static let oneLinkAName = Self(rawValue: 1 << 56)
  /// Fsync makes durable what was changed before it, not what changes beside it.
  public static let fsyncCountsFirst = Self(rawValue: 1 << 57)
  /// So does sync.
  public static let syncCountsFirst = Self(rawValue: 1 << 58)
  /// A new inode has nothing of the one that was in its place.
  public static let newInodeIsCleared = Self(rawValue: 1 << 59)
  /// A freed block of a directory is neither dirty nor found any more.
  public static let freedNamesAreForgotten = Self(rawValue: 1 << 60)
  /// A new attribute block is dirty.
  public static let newAttributesAreDirty = Self(rawValue: 1 << 61)
  /// An inode that was read again may have changes that are not durable.
  public static let readAgainIsUnsynced = Self(rawValue: 1 << 62)
  /// The page whose tail a truncate has zeroed is dirty.
  public static let zeroedTailIsDirty = Self(rawValue: 1 << 63)
  /// Fdatasync writes the pointer of a hole that was filled.
  public static let filledHoleIsShape = Self(rawValue: 1 << 64)
  /// Rename locks a directory before those below it.
  public static let ancestorIsLockedFirst = Self(rawValue: 1 << 65)
  /// Freeze waits for the operations that run.
  public static let freezeWaits = Self(rawValue: 1 << 66)
  /// An inode is encoded only while it is live.
  public static let encodingChecksLife = Self(rawValue: 1 << 67)
  /// A write whose task is cancelled ends before its next piece.
  public static let cancellationEndsWrite = Self(rawValue: 1 << 68)
  /// So does fallocate.
  public static let cancellationEndsAllocation = Self(rawValue: 1 << 69)
  /// A page that was dirtied again while under writeback stays dirty.
  public static let redirtiedStaysDirty = Self(rawValue: 1 << 70)
  /// A flush that fails is told to all who wait for it.
  public static let sharedFailureIsTold = Self(rawValue: 1 << 71)
  /// A fill zeroes what lies past the end of the file.
  public static let fillZeroesPastEnd = Self(rawValue: 1 << 72)
  /// A new page is zero where its writer does not write.
  public static let freshPageIsZeroed = Self(rawValue: 1 << 73)
  /// A page, and a metadata block, never has two writes in flight.
  public static let oneWriteAPage = Self(rawValue: 1 << 74)
  public static let oneWriteABlock = Self(rawValue: 1 << 75)
  /// A page keeps its unit of the dirty budget until its write is complete.
  public static let budgetUntilWritten = Self(rawValue: 1 << 76)
  /// Some frames are never dirty.
  public static let framesAreReserved = Self(rawValue: 1 << 77)
  /// Writeback has places in the device's queue that nobody else takes.
  public static let writebackHasPlaces = Self(rawValue: 1 << 78)
  /// A call of fsync attempts each page, and each metadata block, once.
  public static let pageIsTriedOnce = Self(rawValue: 1 << 79)
  public static let blockIsTriedOnce = Self(rawValue: 1 << 80)
  /// A place that nobody needs any more goes back in the step that received it.
  public static let placeIsGivenBack = Self(rawValue: 1 << 81)
  /// A stale batch is planned again with the place that it has.
  public static let stalePlanKeepsPlace = Self(rawValue: 1 << 82)

  /// Every rule with its name, for tables.
  public static let all: [(name: String, rule: SwitchedOffRules)] = [
    ("no cookie comparison", .cookieComparison),
    ("a fresh cookie on a cached extent", .oldCookieOfCachedExtent),
    ("the cookie sampled after the lookup", .sampleBeforeLookup),
    ("a suspension between validation and dispatch", .oneStepDispatch),
    ("a bit cleared with a write in flight", .pendingFrees),
    ("a walk that enters a block without comparing", .walkComparison),
    ("metadata copied before admission", .lateMetadataCopy),
    ("fsync that ignores pages under writeback", .fsyncWaitsForWriteback),
    ("a shared flush submitted too early", .flushAfterLastWrite),
    ("a failed flush forgotten", .failedFlushIsRemembered),
    ("a fill published after its page was detached", .fillChecksAttachment),
    ("a writer that ignores filling", .writerWaitsForFill),
    ("a block linked outside the step", .linkInOneStep),
    ("a size grown outside the step", .growInOneStep),
    ("a failed batch retried outside the plan", .retryOnNormalPath),
    ("a stale batch dropped", .staleIsPlannedAgain),
    ("a discard not counted as a write", .discardCountsAsWrite),
    ("eviction by whoever drops the last reference", .evictorFrees),
    ("fsync that leaves the inode out", .fsyncWritesInode),
    ("fsync that leaves pointers and names out", .fsyncWritesOwnBlocks),
    ("fsync that leaves the attribute block out", .fsyncWritesAttributes),
    ("fsync without a flush", .fsyncFlushes),
    ("fdatasync that leaves a new size out", .fdatasyncWritesShape),
    ("sync without a flush", .syncFlushes),
    ("a change before the volume is marked not clean", .markedBeforeChange),
    ("a failed page dropped", .failedPageStaysDirty),
    ("failed metadata dropped", .failedMetadataStaysDirty),
    ("an error of writeback told to nobody", .errorIsTold),
    ("an error of writeback told again and again", .errorIsToldOnce),
    ("what a failed operation took not given back", .failureGivesBack),
    ("a volume marked clean although something was not written", .cleanOnlyWhenWritten),
    ("a change after a failed freeze on a volume marked clean", .changeMarksAgain),
    ("a removed file that could not be freed given up", .evictionIsTriedAgain),
    ("a failing page reported at each attempt", .failureIsReportedOnce),
    ("a failing page tried again at once, for ever", .failedPageWaits),
    ("metadata written after corruption has ended all changes", .corruptionStopsWrites),
    ("a cookie of eight bits", .cookieHasAllBits),
    ("a write past its deadline forgotten", .lateWritesCount),
    ("ordered frees that wait for nothing", .orderedFreesWait),
    ("no space while blocks wait to be freed", .spaceIsWaitedFor),
    ("a freed block of metadata kept in the cache", .freedIsForgotten),
    ("pages detached after their blocks were freed", .detachInOneStep),
    ("a truncate that leaves the tail of the last block", .tailIsZeroed),
    ("a reader that goes by the size it saw first", .sizeIsTakenAnew),
    ("the bit of another block cleared where the first block is 1", .bitsCountFromFirstBlock),
    ("the text of a short symbolic link freed as block numbers", .shortLinkHasNoBlocks),
    ("the padding of the last bitmap taken for blocks", .lastGroupEnds),
    ("a pointer used without a check", .pointersAreChecked),
    ("a changed directory that is said to have an index", .changeEndsIndex),
    ("entries with the type of another inode", .entryHasType),
    ("unmount that writes nothing", .unmountWrites),
    ("opening to truncate that does not", .openTruncates),
    ("a mount that failed and keeps its device", .failedMountLetsGo),
    ("a changed mode that stays in memory", .statusIsEncoded),
    ("a directory with one more block and its old size", .directoryGrows),
    ("an attribute block with one more inode and its old count", .sharersAreCounted),
    ("a name that takes two links along", .oneLinkAName),
    ("a change beside fsync taken for durable", .fsyncCountsFirst),
    ("a change beside sync taken for durable", .syncCountsFirst),
    ("a new inode with attributes of the one before it", .newInodeIsCleared),
    ("a freed block of a directory kept in the cache", .freedNamesAreForgotten),
    ("a new attribute block that is never written", .newAttributesAreDirty),
    ("an inode that was read again taken for durable", .readAgainIsUnsynced),
    ("a zeroed tail that stays in memory", .zeroedTailIsDirty),
    ("fdatasync that leaves a filled hole out", .filledHoleIsShape),
    ("rename that locks a directory before the one above it", .ancestorIsLockedFirst),
    ("freeze beside operations that run", .freezeWaits),
    ("an inode encoded when it is another's", .encodingChecksLife),
    ("a cancelled write that goes on", .cancellationEndsWrite),
    ("a cancelled fallocate that goes on", .cancellationEndsAllocation),
    ("a page dirtied again under writeback taken for clean", .redirtiedStaysDirty),
    ("a failed flush told to one of those who share it", .sharedFailureIsTold),
    ("a fill that keeps what lies past the end of the file", .fillZeroesPastEnd),
    ("a new page with bytes of an old one", .freshPageIsZeroed),
    ("two writes of a page in flight", .oneWriteAPage),
    ("two writes of a metadata block in flight", .oneWriteABlock),
    ("the dirty budget given back at dispatch", .budgetUntilWritten),
    ("dirty pages in every frame", .framesAreReserved),
    ("writeback without places of its own", .writebackHasPlaces),
    ("an fsync that tries a failing page again and again", .pageIsTriedOnce),
    ("an fsync that tries a failing metadata block again and again", .blockIsTriedOnce),
    ("a place that is not given back", .placeIsGivenBack),
    ("a stale batch that gives its place back", .stalePlanKeepsPlace),
  ]
}
