/// Clean pages by when they were last used: which page leaves first. A doubly linked list over frame numbers, so that
/// moving a page touches no reference counts.
///
/// A page in the list is attached: its address space keeps it, and takes it out of the list before it lets it go.
@safe final class CleanList {
  @safe private struct Link {
    var older: Int32 = none
    var newer: Int32 = none
    var page: Unmanaged<Page>?
  }
  private static let none: Int32 = -1
  private let links: UnsafeMutablePointer<Link>
  private var newest = none
  private var oldest = none

  /// An empty list for pages of `count` frames.
  init(frameCount count: Int) {
    unsafe links = .allocate(capacity: count)
    unsafe links.initialize(repeating: Link(), count: count)
  }
  deinit { unsafe links.deallocate() }

  func contains(_ page: Page) -> Bool { unsafe links[page.frame].page != nil }

  /// Adds a page as the one used last, or makes it that.
  func touch(_ page: Page) {
    let frame = Int32(page.frame)
    if frame == newest { return }
    remove(page)
    unsafe links[Int(frame)] = Link(older: newest, page: .passUnretained(page))
    if newest != Self.none { unsafe links[Int(newest)].newer = frame }
    newest = frame
    if oldest == Self.none { oldest = frame }
  }

  /// Takes a page out; nothing if it is not in the list.
  func remove(_ page: Page) {
    let link = unsafe links[page.frame]
    guard unsafe link.page != nil else { return }
    let older = link.older, newer = link.newer
    if older != Self.none { unsafe links[Int(older)].newer = newer } else { oldest = newer }
    if newer != Self.none { unsafe links[Int(newer)].older = older } else { newest = older }
    unsafe links[page.frame] = Link()
  }

  /// The page unused for longest that satisfies a condition.
  func oldest(where condition: (Page) -> Bool) -> Page? {
    var frame = oldest
    while frame != Self.none {
      let link = unsafe links[Int(frame)]
      if let page = unsafe link.page?.takeUnretainedValue(), condition(page) { return page }
      frame = link.newer
    }
    return nil
  }
}
