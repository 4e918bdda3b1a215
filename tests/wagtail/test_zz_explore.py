import re, collections, time
from django.test import Client
from django.core.signals import got_request_exception
from readonly_router import disable_writes, ReadOnlyError
from readonly_router import mode
from bs4 import BeautifulSoup
import sys, traceback
LOG=[]
got_request_exception.connect(lambda **k: LOG.append(sys.exc_info()[1]), weak=False)
def norm(b):
    b=re.sub(rb'csrfmiddlewaretoken" value="[^"]*"',b'',b); b=re.sub(rb'"?csrf_?[tT]oken"?[:=] ?"[^"]*"',b'',b); 
    b=re.sub(rb'data-w-[a-z-]*csrf[^=]*="[^"]*"',b'',b)
    return b
def frame(e):
    out=None; tb=e.__traceback__
    while tb:
        m=tb.tb_frame.f_globals.get('__name__','')
        if not m.startswith(('django.','readonly_router','psycopg','contextlib','asgiref','test')): out=f"{m}.{getattr(tb.tb_frame.f_code,'co_qualname',tb.tb_frame.f_code.co_name)}:{tb.tb_lineno}"
        tb=tb.tb_next
    return out
def test_explore(site, admin, checksum, media):
    admin.raise_request_exception=False
    seen={}; todo=['/admin/']; t=time.time()
    seeds=['/', '/tea-1/','/contact/','/search/?query=tea','/sitemap.xml','/api/v2/pages/','/api/v2/images/','/old/','/secret/','/nowhere/']
    while todo and len(seen)<140:
        u=todo.pop(0)
        if u in seen: continue
        r=admin.get(u); seen[u]=r.status_code
        if r.status_code==200 and 'html' in r.get('content-type',''):
            for a in BeautifulSoup(r.content,'html.parser').find_all(href=True):
                h=a['href'].split('#')[0]
                if h.startswith('/admin/') and 'logout' not in h and ('?' not in h) and h not in seen: todo.append(h)
    print(len(seen), collections.Counter(seen.values()), time.time()-t)
    for e in LOG: print('NORMAL ERR', repr(e)[:200])
    LOG.clear()
    b={u:(admin.get(u)) for u in [*seen,*seeds]}
    before=checksum()
    b={u:(admin.get(u)) for u in [*seen,*seeds]}
    print('writes in second pass', checksum()!=before); before=checksum(); mb=media()
    b2={u:(admin.get(u)) for u in [*seen,*seeds]}
    unstable={u for u in b if (not b[u].streaming) and norm(b[u].content)!=norm(b2[u].content)}
    print('UNSTABLE', unstable)
    before=checksum()
    disable_writes()
    for u in b:
        LOG.clear()
        r=admin.get(u)
        if r.status_code!=b[u].status_code or (not r.streaming and norm(r.content)!=norm(b2[u].content)):
            print(u, b[u].status_code, r.status_code, [(type(e).__name__, frame(e), str(e)[:100]) for e in LOG])
    print('same data', checksum()==before, time.time()-t)
    print('\n'.join(map(str,seen.items())))
